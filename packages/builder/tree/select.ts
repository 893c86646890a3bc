import { GantryError, invalidParameter, notFound } from "@gantry/spec";
import type { FileStat } from "@gantry/storage";
import { S } from "@gantry/sys";
import { cleanPath } from "../ignore/clean.ts";
import { globToRegExp, hasWildcards } from "../ignore/glob.ts";
import type { MatchState, PatternMatcher } from "../ignore/matcher.ts";
import type { Pacer } from "./pacer.ts";
import type { SourceTree } from "./source-tree.ts";
import { joinSums } from "./sum.ts";

/** Something COPY copies: a file, or a directory with all in it. */
export interface Selected {
  /** As the Dockerfile names it, clean and relative. Its last part is the name a file keeps in a directory. */
  path: string;
  /** Where that leads, links followed. */
  real: string;
  stat: FileStat;
}

/**
 * What a source path of COPY or ADD names, wildcards resolved, in byte order. Throws, in Docker's words, where a plain
 * path names nothing or climbs out.
 */
export function selectSources(tree: SourceTree, path: string): Selected[] {
  const clean = cleanPath(path.replace(/^\/+/, ""));
  if (clean === ".." || clean.startsWith("../")) {
    throw invalidParameter(`forbidden path outside the build context: ${path} ()`);
  }
  const relative = clean === "." ? "" : clean;
  if (!hasWildcards(relative)) return [selectOne(tree, withoutEscapes(relative))];
  return expandGlob(tree, relative.split("/")).map((match) => selectOne(tree, match));
}

function selectOne(tree: SourceTree, path: string): Selected {
  const real = tree.follow(path);
  const stat = tree.stat(real);
  if (stat) return { path, real, stat };
  const missing = `stat ${path}: file does not exist`;
  throw notFound(tree.context ? `file not found in build context or excluded by .dockerignore: ${missing}` : missing);
}

/** Without wildcards a backslash still makes the next character itself. */
function withoutEscapes(path: string): string {
  return path.replace(/\\(.)/gs, "$1");
}

/** Paths that match, part by part: no wildcard spans a slash. */
function expandGlob(tree: SourceTree, parts: string[], folder = ""): string[] {
  const [part, ...rest] = parts;
  if (part === undefined) return [folder];
  const join = (name: string) => (folder === "" ? name : `${folder}/${name}`);
  const pattern = globToRegExp(part);
  return tree
    .list(folder)
    .filter((name) => pattern.test(name))
    .flatMap((name) => expandGlob(tree, rest, join(name)));
}

/** What a source comes to: for the history, and for the cache. */
export interface SourceSum {
  /** Docker's text: `file:…` for a file, `dir:…` over everything in a directory but what is excluded. */
  text: string;
  /** The same with what Docker leaves out, so that equal keys mean equal files: where links lead. */
  key: string;
}

/** Takes the checksum of what is selected, but of what `exclude` takes out. */
export async function sumSelected(
  tree: SourceTree,
  selected: Selected,
  exclude: PatternMatcher,
  pacer: Pacer,
): Promise<SourceSum> {
  if ((selected.stat.mode & S.IFMT) !== S.IFDIR) {
    const text = `file:${await tree.sum(selected.real, selected.stat, pacer)}`;
    return { text, key: text };
  }
  const sums: DirectorySums = { docker: [], links: [] };
  if (selected.real !== "") sums.docker.push(await tree.sum(selected.real, selected.stat, pacer));
  await sumDirectory(tree, selected.real, "", undefined, exclude, pacer, sums);
  const text = joinSums("dir", sums.docker.sort());
  return { text, key: sums.links.length === 0 ? text : `${text} ${joinSums("dir", sums.links)}` };
}

interface DirectorySums {
  docker: string[];
  links: string[];
}

async function sumDirectory(
  tree: SourceTree,
  real: string,
  relative: string,
  state: MatchState | undefined,
  exclude: PatternMatcher,
  pacer: Pacer,
  sums: DirectorySums,
): Promise<void> {
  for (const name of tree.list(real)) {
    const inner = relative === "" ? name : `${relative}/${name}`;
    const path = real === "" ? name : `${real}/${name}`;
    const match = exclude.isEmpty ? undefined : exclude.step(inner, state);
    const stat = tree.stat(path);
    if (!stat) continue;
    const type = stat.mode & S.IFMT;
    if (match?.matched && !(type === S.IFDIR && exclude.hasExclusions)) continue;
    if (type === S.IFLNK) await sumLink(tree, path, stat, pacer, sums);
    else if (!match?.matched) sums.docker.push(await tree.sum(path, stat, pacer));
    if (type === S.IFDIR) await sumDirectory(tree, path, inner, match?.state, exclude, pacer, sums);
    await pacer.tick();
  }
}

/** Docker takes the sum of what a link leads to; of one that leads nowhere its path in a context, and nothing elsewhere. */
async function sumLink(
  tree: SourceTree,
  path: string,
  stat: FileStat,
  pacer: Pacer,
  sums: DirectorySums,
): Promise<void> {
  sums.links.push(path, await tree.sum(path, stat, pacer));
  const real = tree.follow(path);
  const target = real === "" ? null : tree.stat(real);
  if (target) sums.docker.push(await tree.sum(real, target, pacer));
  else if (tree.context) sums.docker.push(path);
}

/** Wraps what goes wrong while sources are looked for as Docker does: `COPY failed: …`. */
export function copyFailed(command: string, error: unknown): unknown {
  if (!(error instanceof GantryError)) return error;
  return new GantryError(error.kind, `${command} failed: ${error.message}`, { cause: error });
}
