import { HttpError } from "./head.ts";

const MAX_LINE = 4096;
const MAX_TRAILERS = 16384;

/**
 * Incremental decoder of the chunked transfer coding (RFC 9112, section 7.1). Feed it bytes; it hands out the content
 * and says where the body ended. Chunk extensions and trailers are bounded and dropped.
 */
export class ChunkedDecoder {
  private state: "size" | "data" | "dataEnd" | "trailer" | "done" = "size";
  private remaining = 0;
  private line = "";
  private trailerBytes = 0;

  get done(): boolean {
    return this.state === "done";
  }

  /** Decodes from `offset`; calls `emit` with views into `bytes`. Returns the offset of the first byte not used. */
  feed(bytes: Buffer, offset: number, emit: (chunk: Buffer) => void): number {
    let at = offset;
    while (at < bytes.length && this.state !== "done") {
      if (this.state === "data") {
        const take = Math.min(this.remaining, bytes.length - at);
        emit(bytes.subarray(at, at + take));
        at += take;
        this.remaining -= take;
        if (this.remaining === 0) this.state = "dataEnd";
        continue;
      }
      const newline = bytes.indexOf(10, at);
      const end = newline < 0 ? bytes.length : newline + 1;
      this.line += bytes.toString("latin1", at, end);
      if (this.line.length > MAX_LINE) throw new HttpError(400, "chunk line too long");
      at = end;
      if (newline < 0) break;
      if (!this.line.endsWith("\r\n")) throw new HttpError(400, "malformed chunked encoding");
      const line = this.line.slice(0, -2);
      this.line = "";
      this.take(line);
    }
    return at;
  }

  private take(line: string): void {
    if (this.state === "dataEnd") {
      if (line !== "") throw new HttpError(400, "malformed chunked encoding");
      this.state = "size";
      return;
    }
    if (this.state === "trailer") {
      this.trailerBytes += line.length;
      if (this.trailerBytes > MAX_TRAILERS) throw new HttpError(431, "trailers too long");
      if (line === "") this.state = "done";
      return;
    }
    const size = /^([0-9a-fA-F]{1,12})(?:[ \t]*;[^\r\n\x00]*)?$/.exec(line);
    if (size === null) throw new HttpError(400, "invalid chunk size");
    this.remaining = Number.parseInt(size[1] as string, 16);
    this.state = this.remaining === 0 ? "trailer" : "data";
  }
}
