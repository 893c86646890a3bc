#!/usr/bin/env bun
import { main } from "./index.ts";

/** By the name of `gantry-runtime` the same executable is the runtime of the OCI command line. */
async function asRuntime(words: string[]): Promise<number> {
  const { runtimeMain, shimBinary } = await import("@gantry/libcontainer");
  return runtimeMain(words, process.env["GANTRY_SHIM"] ?? shimBinary);
}

const words = process.argv.slice(2);
process.exitCode = /(?:^|\/)gantry-runtime$/.test(process.argv0)
  ? await asRuntime(words)
  : await main(process.argv0, words);
process.exit(process.exitCode);
