/** One member of a test archive. */
export interface TarMember {
  name: string;
  /** File content; a directory where absent. */
  content?: Uint8Array | string;
  mode?: number;
  link?: string;
}

/** A ustar archive of these members, with fixed owner and time so that equal members give equal bytes. */
export function makeTar(members: readonly TarMember[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const member of members) {
    const content = typeof member.content === "string" ? Buffer.from(member.content) : member.content;
    const type = member.link !== undefined ? "2" : content === undefined ? "5" : "0";
    const header = Buffer.alloc(512);
    header.write(member.name, 0, 100);
    const octal = (value: number, at: number, length: number) =>
      header.write(value.toString(8).padStart(length - 1, "0"), at, length - 1);
    octal(member.mode ?? (type === "5" ? 0o755 : 0o644), 100, 8);
    octal(0, 108, 8);
    octal(0, 116, 8);
    octal(content?.length ?? 0, 124, 12);
    octal(1_600_000_000, 136, 12);
    header.write(type, 156);
    if (member.link !== undefined) header.write(member.link, 157, 100);
    header.write("ustar\0" + "00", 257);
    header.fill(" ", 148, 156);
    header.write(
      header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, "0") + "\0 ",
      148,
    );
    parts.push(header);
    if (content) parts.push(content, new Uint8Array((512 - (content.length % 512)) % 512));
  }
  parts.push(new Uint8Array(1024));
  return Buffer.concat(parts);
}
