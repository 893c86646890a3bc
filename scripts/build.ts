/** Builds `dist/gantry`: one executable with the runtime, the daemon, every command and the shim inside. */

import { mkdirSync, statSync } from "node:fs";
import { Glob } from "bun";

mkdirSync("dist", { recursive: true });
const version = (await Bun.file("package.json").json()).version as string;
const commit = Bun.spawnSync(["git", "rev-parse", "--short", "HEAD"]).stdout.toString().trim() || "unknown";
/** Threads' files are found at run time (`workerUrl` in sys), so each is an entry. */
const workers = [...new Glob("packages/**/{worker,*-worker}.ts").scanSync(".")].filter(
  (p) => !p.includes("node_modules"),
);
const command = [
  process.execPath,
  "build",
  "--compile",
  "--minify",
  "--bytecode",
  "--splitting",
  "--format=esm",
  `--define=process.env.GANTRY_VERSION=${JSON.stringify(version)}`,
  `--define=process.env.GANTRY_COMMIT=${JSON.stringify(commit)}`,
  `--define=process.env.GANTRY_BUILD_TIME=${JSON.stringify(new Date().toISOString())}`,
  "--root=.",
  "packages/cli/main.ts",
  ...workers,
  "--outfile=dist/gantry",
];
const built = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
if (built.exitCode !== 0) {
  console.error(built.stdout.toString() + built.stderr.toString());
  process.exit(1);
}
console.log(`dist/gantry ${version} (${commit}), ${(statSync("dist/gantry").size / 1e6).toFixed(0)} MB`);
