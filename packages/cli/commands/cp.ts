import { lstatSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { ContainerPathStat } from "@gantry/spec";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { extractTree } from "../extract-tree.ts";
import { readInput, refuseTerminal } from "../file-stream.ts";
import { bool } from "../flags.ts";
import { humanSize } from "../format/units.ts";
import { err, writeAll } from "../output.ts";
import { isTerminal } from "../terminal/tty.ts";
import { archiveTree } from "../tree-archive.ts";

/** Go's file mode bits, as the engine tells them. */
const MODE_DIR = 2 ** 31;
const MODE_SYMLINK = 2 ** 27;

export const cp = defineCommand({
  usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  short: "Copy files between a container and this machine",
  long: "Copy files between a container and this machine\n\nWith '-' as the source, a tar is read from stdin and unpacked in a directory of the\ncontainer; with '-' as the destination, a tar is written to stdout.",
  aliases: ["container cp", "cp"],
  flags: {
    archive: bool("a", "Keep owner and group of the files"),
    "follow-link": bool("L", "Follow a symbolic link in SRC_PATH"),
    quiet: bool("q", "Do not tell what was copied"),
  },
  arity: { exactly: 2 },
  async run({ cli, flags, args }) {
    const [source, destination] = args as [string, string];
    if (!source) throw new CliError("source can not be empty");
    if (!destination) throw new CliError("destination can not be empty");
    const from = splitContainer(source);
    const to = splitContainer(destination);
    if (from.container && to.container) throw new CliError("copying between containers is not supported");
    if (!from.container && !to.container) throw new CliError("must specify at least one container source");
    const options = { archive: flags.archive, follow: flags["follow-link"] };
    const counted = { bytes: 0 };
    if (from.container) await copyOut(cli, from.container, from.path, to.path, options, counted);
    else await copyIn(cli, to.container!, from.path, to.path, options, counted);
    if (!flags.quiet && isTerminal(1) && destination !== "-")
      err(`Successfully copied ${humanSize(counted.bytes, 3)} to ${destination}\n`);
  },
});

interface CopyOptions {
  archive: boolean;
  follow: boolean;
}

async function copyIn(
  cli: Cli,
  id: string,
  source: string,
  destination: string,
  options: CopyOptions,
  counted: { bytes: number },
): Promise<void> {
  const { containers } = cli.docker;
  let path = destination;
  let target = await containers.stat(id, path).catch(() => undefined);
  if (target && hasBit(target.mode, MODE_SYMLINK)) {
    path = target.linkTarget.startsWith("/") ? target.linkTarget : resolve("/", dirname(path), target.linkTarget);
    target = await containers.stat(id, path).catch(() => undefined);
  }
  const directory = target !== undefined && hasBit(target.mode, MODE_DIR);
  const put = { noOverwriteDirNonDir: true, copyUIDGID: options.archive };
  if (source === "-") {
    if (target && !directory) throw new CliError(`destination "${id}:${destination}" must be a directory`);
    await containers.putArchive(id, path, counting(readInput(undefined), counted), put);
    return;
  }
  const stat = localSource(source, options.follow);
  const contents = /(^|\/)\.$/.test(source);
  const place = placeIn(
    { source: contents ? "." : basename(resolve(source)), directory: stat.isDirectory() },
    { path, exists: target !== undefined, directory },
  );
  const top = options.follow || contents || source.endsWith("/") ? realpathSync(source) : resolve(source);
  await containers.putArchive(id, place.dir, counting(archiveTree(top, { name: place.name }), counted), put);
}

async function copyOut(
  cli: Cli,
  id: string,
  source: string,
  destination: string,
  options: CopyOptions,
  counted: { bytes: number },
): Promise<void> {
  const { containers } = cli.docker;
  if (destination === "-") refuseTerminal(undefined);
  let path = source;
  if (options.follow) {
    const stat = await containers.stat(id, path).catch(() => undefined);
    if (stat && hasBit(stat.mode, MODE_SYMLINK)) {
      path = stat.linkTarget.startsWith("/") ? stat.linkTarget : resolve("/", dirname(path), stat.linkTarget);
    }
  }
  const { stat, body } = await containers.getArchive(id, path);
  if (destination === "-") {
    for await (const chunk of body) writeAll(1, chunk);
    return;
  }
  const local = localDestination(destination);
  const parentDir = dirname(resolve(destination));
  if (!local.exists && !tryStat(parentDir)?.isDirectory()) {
    const missing = dirname(parentDir) === "/" ? parentDir : parentDir;
    throw new CliError(`invalid output path: directory ${JSON.stringify(missing)} does not exist`);
  }
  const contents = /(^|\/)\.$/.test(source);
  const place = placeIn({ source: contents ? "." : stat.name, directory: isDirectory(stat) }, local);
  const parent = tryStat(place.dir);
  if (!parent?.isDirectory())
    throw new CliError(`invalid output path: directory ${JSON.stringify(place.dir)} does not exist`);
  // A followed link's content is named as the link was.
  const wanted = options.follow && place.name === stat.name ? basename(source) : place.name;
  await extractTree(counting(body, counted), place.dir, { rename: wanted, owner: options.archive });
}

/** Where a copy goes: into a directory that is there, else under the name that was asked for. Throws CliError. */
function placeIn(
  from: { source: string; directory: boolean },
  to: { path: string; exists: boolean; directory: boolean },
): { dir: string; name: string } {
  const trailing = /\/\.?$/.test(to.path);
  if (to.exists && to.directory) return { dir: to.path, name: from.source };
  if (to.exists && from.directory) throw new CliError("cannot copy directory");
  if (to.exists && trailing) throw new CliError("not a directory");
  if (!to.exists && !from.directory && trailing) throw new CliError("no such directory");
  const clean = to.path.replace(/\/+\.?$/, "") || "/";
  return { dir: dirname(clean), name: basename(clean) };
}

function localSource(path: string, follow: boolean): Stats {
  try {
    return follow || path.endsWith("/") || path.endsWith("/.") ? statSync(path) : lstatSync(path);
  } catch (error) {
    const { code } = error as { code?: string };
    throw new CliError(
      `lstat ${resolve(path)}: ${code === "ENOENT" ? "no such file or directory" : code === "ENOTDIR" ? "not a directory" : (error as Error).message}`,
    );
  }
}

function localDestination(path: string): { path: string; exists: boolean; directory: boolean } {
  const stat = tryStat(path);
  const absolute = resolve(path) + (/\/\.?$/.test(path) && path !== "/" ? "/" : "");
  return { path: absolute, exists: stat !== undefined, directory: stat?.isDirectory() ?? false };
}

function tryStat(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function splitContainer(text: string): { container?: string; path: string } {
  const colon = text.indexOf(":");
  // `./a:b` and `/a:b` are paths of this machine.
  if (colon <= 0 || text.startsWith(".") || text.startsWith("/")) return { path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

function isDirectory(stat: ContainerPathStat): boolean {
  return hasBit(stat.mode, MODE_DIR);
}

function hasBit(mode: number, bit: number): boolean {
  return Math.floor(mode / bit) % 2 === 1;
}

async function* counting(source: AsyncIterable<Uint8Array>, counted: { bytes: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    counted.bytes += chunk.length;
    yield chunk;
  }
}
