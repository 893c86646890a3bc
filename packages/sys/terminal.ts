import { check, libc } from "./libc.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
/** The kernel's struct termios: four words of flags, the line discipline, 19 control characters. */
const TERMIOS_SIZE = 36;
const CONTROLS = 17;
const VTIME = 5;
const VMIN = 6;

// Flags of <asm-generic/termbits.h>.
const INPUT = 0o1 | 0o2 | 0o10 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000; // IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
const OPOST = 0o1;
const LOCAL = 0o1 | 0o2 | 0o10 | 0o100 | 0o100000; // ISIG ICANON ECHO ECHONL IEXTEN
const CSIZE = 0o60;
const PARENB = 0o400;
const CS8 = 0o60;

/**
 * Puts a terminal into raw mode, as cfmakeraw in termios(3); returns what puts it back. Node's own raw mode goes on
 * turning line feeds into two characters, which a container's terminal has done already. Throws SysError.
 */
export function makeRaw(fd: number): () => void {
  const before = new Uint8Array(TERMIOS_SIZE);
  check(libc.ioctl(fd, TCGETS, before), "ioctl(TCGETS)");
  const raw = before.slice();
  const flags = new Uint32Array(raw.buffer, 0, 4);
  flags[0]! &= ~INPUT;
  flags[1]! &= ~OPOST;
  flags[2] = (flags[2]! & ~(CSIZE | PARENB)) | CS8;
  flags[3]! &= ~LOCAL;
  raw[CONTROLS + VMIN] = 1;
  raw[CONTROLS + VTIME] = 0;
  check(libc.ioctl(fd, TCSETS, raw), "ioctl(TCSETS)");
  return () => {
    // The terminal may be gone by now; then there is nothing to put back.
    libc.ioctl(fd, TCSETS, before);
  };
}
