import { CString, dlopen, type Pointer, FFIType as T } from "bun:ffi";
import { readlinkSync } from "node:fs";
import { unavailable } from "@gantry/spec";
import { close, O, open } from "./file.ts";
import { cstr } from "./libc.ts";

const SYMBOLS = {
  nft_ctx_new: { args: [T.u32], returns: T.ptr },
  nft_ctx_free: { args: [T.ptr], returns: T.void },
  nft_ctx_buffer_output: { args: [T.ptr], returns: T.i32 },
  nft_ctx_buffer_error: { args: [T.ptr], returns: T.i32 },
  nft_ctx_get_output_buffer: { args: [T.ptr], returns: T.ptr },
  nft_ctx_get_error_buffer: { args: [T.ptr], returns: T.ptr },
  nft_ctx_output_set_flags: { args: [T.ptr, T.u32], returns: T.void },
  nft_run_cmd_from_buffer: { args: [T.ptr, T.ptr], returns: T.i32 },
} as const;

type Library = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];
let library: Library | undefined;

/** nft refused a set of commands; `message` holds its own words. Nothing of them was carried out. */
export class NftablesError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "NftablesError";
  }
}

/** libnftables waits with select(2), which aborts the process where its socket's number is this or above. */
const FD_SETSIZE = 1024;
const RESERVED = 8;
const reserved: number[] = [];

/**
 * Keeps some low descriptors free for libnftables, however many a process opens later. To be called while there are few; idempotent.
 */
export function reserveDescriptors(): void {
  while (reserved.length < RESERVED) {
    const fd = open("/dev/null", O.PATH | O.CLOEXEC);
    if (fd >= FD_SETSIZE) {
      close(fd);
      return;
    }
    reserved.push(fd);
  }
}

/** A context whose socket has a low number. Another thread may open something in between; then the next one is tried. */
function newContext(lib: Library): Pointer {
  reserveDescriptors();
  for (let low = reserved.pop(); low !== undefined; low = reserved.pop()) {
    close(low);
    const context = lib.nft_ctx_new(0);
    if (context === null) throw unavailable("libnftables: no memory for a context");
    if (isSocket(low) || nextDescriptor() < FD_SETSIZE) return context as Pointer;
    lib.nft_ctx_free(context as Pointer);
  }
  throw unavailable("libnftables: all descriptors that it can use are taken");
}

function isSocket(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
}

function nextDescriptor(): number {
  const fd = open("/dev/null", O.PATH | O.CLOEXEC);
  close(fd);
  return fd;
}

/**
 * libnftables(3) in the process, loaded at first use. For rules, chains and whatever is rare; elements of sets and maps
 * go through `NftElements`, which does not make the library list what is there.
 */
export class Nftables {
  private readonly context: Pointer;
  private readonly lib: Library;

  /** Throws GantryError (unavailable) with a clear text where the host has no libnftables. */
  constructor() {
    this.lib = library ??= load();
    this.context = newContext(this.lib);
    this.lib.nft_ctx_buffer_output(this.context);
    this.lib.nft_ctx_buffer_error(this.context);
  }

  /**
   * Carries out commands in nft(8)'s language, all or none of them (one kernel transaction). Returns what they print, in
   * numbers instead of names, `handles` with the handles of rules, or as JSON (libnftables-json(5)). Throws NftablesError.
   */
  run(commands: string, output: "plain" | "handles" | "json" = "plain"): string {
    const NUMERIC = 0x780;
    const FLAGS = { plain: NUMERIC, handles: NUMERIC | 0x08, json: NUMERIC | 0x10 };
    this.lib.nft_ctx_output_set_flags(this.context, FLAGS[output]);
    const status = this.lib.nft_run_cmd_from_buffer(this.context, cstr(commands));
    const text = textOf(this.lib.nft_ctx_get_output_buffer(this.context));
    if (status !== 0) throw new NftablesError(firstError(textOf(this.lib.nft_ctx_get_error_buffer(this.context))));
    return text;
  }

  close(): void {
    this.lib.nft_ctx_free(this.context);
    reserveDescriptors();
  }
}

function load(): Library {
  try {
    return dlopen("libnftables.so.1", SYMBOLS).symbols;
  } catch (cause) {
    throw unavailable(
      "nftables is needed for container networks, and libnftables.so.1 was not found; " +
        "install the nftables package, or run the daemon with --iptables=false to manage the firewall yourself",
      cause,
    );
  }
}

function textOf(pointer: Pointer | bigint | null): string {
  return pointer === null ? "" : new CString(pointer as Pointer).toString();
}

/** nft prints the offending command below the message; with large batches that would be megabytes. */
function firstError(text: string): string {
  const lines = text.split("\n").filter((line) => line.includes("Error"));
  return (lines[0] ?? text).slice(0, 500).trim() || "nftables: unknown error";
}
