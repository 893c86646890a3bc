// Builds the shim for this machine's architecture into build/gantry-shim. Plain Node; does nothing when up to date.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const output = join(here, "build", "gantry-shim");

const files = readdirSync(here).filter((name) => /\.[ch]$/.test(name) || name === "build.mjs");
const newest = Math.max(...files.map((name) => statSync(join(here, name)).mtimeMs));
const built = statSync(output, { throwIfNoEntry: false })?.mtimeMs ?? 0;
if (built < newest) {
  mkdirSync(dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}`;
  const flags = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-static",
    "-s",
    "-fno-asynchronous-unwind-tables",
  ];
  const sources = files.filter((name) => name.endsWith(".c")).map((name) => join(here, name));
  let failure;
  for (const compiler of process.env.CC ? [process.env.CC] : ["musl-gcc", "gcc", "cc"]) {
    try {
      execFileSync(compiler, [...flags, "-o", temporary, ...sources], { stdio: ["ignore", "inherit", "inherit"] });
      failure = undefined;
      break;
    } catch (error) {
      failure = error;
      if (error.code !== "ENOENT") break;
    }
  }
  if (failure) {
    rmSync(temporary, { force: true });
    console.error(`the shim could not be built (musl-tools or gcc with a static libc is needed): ${failure.message}`);
    process.exit(1);
  }
  renameSync(temporary, output);
}
