import { invalidParameter } from "@gantry/spec";
import { Extractor, type FileStat, Inflater, openAt, TarParser } from "@gantry/storage";
import { close, O, read, S } from "@gantry/sys";
import type { UserFiles } from "../exec/users.ts";
import { cleanPath } from "../ignore/clean.ts";
import { type MatchState, PatternMatcher } from "../ignore/matcher.ts";
import type { CopyOp } from "../plan/vertex.ts";
import { UNNAMED } from "../remote/http.ts";
import { followInRoot, openDirectory, splitPath } from "../tree/follow.ts";
import type { Pacer } from "../tree/pacer.ts";
import { copyFailed, type Selected, type SourceSum, selectSources, sumSelected } from "../tree/select.ts";
import { type SourceTree, statPath } from "../tree/source-tree.ts";
import { joinSums } from "../tree/sum.ts";
import { isArchive } from "./archive.ts";
import { applyMode, parseMode } from "./mode.ts";
import { resolveChown } from "./owner.ts";
import { type Owner, UpperWriter } from "./upper.ts";

/** One source of a COPY with the tree it is in. */
export interface CopyInput {
  tree: SourceTree;
  selected: Selected;
  /** From a URL: no archive, whatever it looks like. */
  remote: boolean;
  /** The name it gets in a directory. */
  name: string;
  /** For `--parents`: the folders it keeps. */
  folder: string;
}

/** What is copied, with the checksum text that goes in the history and, with the op, makes the cache key. */
export interface CopyPlan {
  inputs: CopyInput[];
  /** For the history. */
  hash: string;
  /** For the cache. */
  keys: string[];
  exclude: PatternMatcher;
}

/** Finds the sources and takes their checksums. Throws where one is missing, in Docker's words. */
export async function planCopy(op: CopyOp, treeOf: (input: number) => SourceTree, pacer: Pacer): Promise<CopyPlan> {
  const exclude = new PatternMatcher(op.exclude);
  const inputs: CopyInput[] = [];
  const sums: SourceSum[] = [];
  try {
    for (const source of op.sources) {
      const tree = treeOf(source.input);
      for (const selected of tree.file === undefined ? selectSources(tree, source.path) : selectFile(op, tree)) {
        const [folder, name] = splitPath(selected.path === "" ? "." : selected.path);
        const isDirectory = (selected.stat.mode & S.IFMT) === S.IFDIR;
        if (!isDirectory && exclude.matches(name)) continue;
        inputs.push({
          tree,
          selected,
          remote: source.remote,
          name,
          folder: op.parents ? keptFolder(source.path, isDirectory ? selected.path : folder) : "",
        });
        sums.push(await sumSelected(tree, selected, exclude, pacer));
      }
    }
    if (inputs.length === 0 && op.inline.length === 0) throw invalidParameter("no source files were specified");
  } catch (error) {
    throw copyFailed(op.command, error);
  }
  for (const { name, content } of op.inline) {
    const text = `inline:${new Bun.CryptoHasher("sha256").update(`${name}\0${content}`).digest("hex")}`;
    sums.push({ text, key: text });
  }
  if (sums.length > 1 && !op.dest.endsWith("/") && op.dest !== "/") {
    throw invalidParameter(
      `When using ${op.command} with more than one source file, the destination must be a directory and end with a /`,
    );
  }
  const texts = sums.map(({ text }) => text);
  const hash = texts.length === 1 ? texts[0]! : joinSums("multi", texts);
  return { inputs, hash, keys: sums.map(({ key }) => key), exclude };
}

/** A download is one file, whatever its name looks like. */
function selectFile(op: CopyOp, tree: SourceTree): Selected[] {
  if (tree.file === "" && op.dest.endsWith("/")) throw invalidParameter("cannot determine filename for source");
  const path = tree.file || UNNAMED;
  return [{ path, real: path, stat: tree.stat(path)! }];
}

/** `--parents` keeps the folders of a source; those before a `/./` in it are left out. */
function keptFolder(written: string, folder: string): string {
  const pivot = written.indexOf("/./");
  const skipped = pivot < 0 ? "" : cleanPath(written.slice(0, pivot).replace(/^\/+/, ""));
  if (skipped === "" || skipped === ".") return folder;
  const depth = skipped.split("/").length;
  return folder.split("/").slice(depth).join("/");
}

/** What a copy writes to. */
export interface CopyTarget {
  /** The layer's directory. */
  upper: string;
  /** The files below it, as one tree. */
  lowerFd: number;
  /** Users of the image, for names in `--chown`. */
  users: () => Promise<UserFiles>;
  /** The whole file system, writable through the layer: only for archives, whose links must be followed. */
  view(): Promise<{ fd: number; close(): void }>;
}

/** Writes what a COPY or ADD brings. */
export async function performCopy(op: CopyOp, plan: CopyPlan, target: CopyTarget, pacer: Pacer): Promise<void> {
  const owner = op.chown === undefined ? undefined : await resolveChown(op.chown, target.users);
  const mode = op.chmod === undefined ? undefined : parseMode(op.chmod);
  const archives: { input: CopyInput; dest: string }[] = [];
  const writer = new UpperWriter(target.upper, target.lowerFd);
  try {
    const copier = new Copier(writer, owner, mode, plan.exclude, pacer);
    const dest = followInRoot(target.lowerFd, op.dest);
    const wantsDirectory = op.dest.endsWith("/") || op.parents;
    for (const input of plan.inputs) {
      // On disk before its stats are looked at: inodes and link counts decide what may be linked.
      await input.tree.root();
      input.selected.stat = input.tree.stat(input.selected.real) ?? input.selected.stat;
      copier.newSource();
      const base = joinPath(dest, input.folder);
      const type = input.selected.stat.mode & S.IFMT;
      if (type === S.IFDIR) {
        await copier.directory(input.tree, input.selected.real, base, "", undefined, true);
        continue;
      }
      const unpack = op.unpack === "all" || (op.unpack === "local" && !input.remote);
      if (unpack && type === S.IFREG && isArchive(await input.tree.root(), input.selected.real)) {
        writer.openFolder(base);
        archives.push({ input, dest: base });
        continue;
      }
      const there = writer.stat(base);
      const into = wantsDirectory || base === "" || (there && (there.mode & S.IFMT) === S.IFDIR);
      const path = into ? followInRoot(target.lowerFd, joinPath(base, input.name)) : base;
      await copier.file(input.tree, input.selected.real, input.selected.stat, path);
    }
    for (const { name, content } of op.inline) {
      const there = writer.stat(dest);
      const into = wantsDirectory || dest === "" || (there && (there.mode & S.IFMT) === S.IFDIR);
      const path = into ? joinPath(dest, name) : dest;
      writer.putContent(
        path,
        new TextEncoder().encode(content),
        owner ?? { uid: 0, gid: 0 },
        mode ? applyMode(mode, 0o644, false) : 0o644,
      );
    }
  } finally {
    writer.finish();
  }
  if (archives.length === 0) return;
  const view = await target.view();
  try {
    for (const { input, dest } of archives) await extract(view.fd, input, dest, pacer);
  } finally {
    view.close();
  }
}

class Copier {
  /** Files with several names in one source directory, by inode: they stay one file. */
  private readonly links = new Map<string, string>();

  constructor(
    private readonly writer: UpperWriter,
    private readonly owner: Owner | undefined,
    private readonly mode: ReturnType<typeof parseMode> | undefined,
    private readonly exclude: PatternMatcher,
    private readonly pacer: Pacer,
  ) {}

  newSource(): void {
    this.links.clear();
  }

  /** A directory's entries; `top`: the directory itself is only made where it is missing. */
  async directory(
    tree: SourceTree,
    real: string,
    dest: string,
    relative: string,
    state: MatchState | undefined,
    top: boolean,
  ): Promise<void> {
    if (top) this.writer.openFolder(dest, this.owner);
    for (const name of tree.list(real)) {
      const stat = tree.stat(joinPath(real, name));
      if (!stat) continue;
      const inner = joinPath(relative, name);
      const match = this.exclude.isEmpty ? undefined : this.exclude.step(inner, state);
      const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
      if (match?.matched && !(isDirectory && this.exclude.hasExclusions)) continue;
      const path = joinPath(real, name);
      const target = joinPath(dest, name);
      if (isDirectory) {
        if (!match?.matched) this.writer.putDirectory(target, stat, this.ownerOf(stat), this.modeOf(stat));
        await this.directory(tree, path, target, inner, match?.state, false);
      } else {
        await this.file(tree, path, stat, target);
      }
      await this.pacer.tick();
    }
  }

  async file(tree: SourceTree, real: string, stat: FileStat, dest: string): Promise<void> {
    await tree.root();
    const [folder, name] = splitPath(real);
    const owner = this.ownerOf(stat);
    if ((stat.mode & S.IFMT) !== S.IFREG) {
      this.writer.putSpecial(dest, { dirFd: tree.folder(folder), name, stat }, owner);
      return;
    }
    const key = `${stat.dev}:${stat.ino}`;
    const taken = tree.linked?.get(key) ?? 0;
    const names = stat.nlink - taken;
    const first = names > 1 ? this.links.get(key) : undefined;
    if (first !== undefined && first !== dest) {
      this.writer.putHardLink(dest, first, owner);
      return;
    }
    if (names > 1) this.links.set(key, dest);
    const mayLink = tree.linked !== undefined && names === 1 && taken === 0;
    const source = { dirFd: tree.folder(folder), name, stat, mayLink };
    const linked = await this.writer.putFile(dest, source, owner, this.modeOf(stat), this.pacer);
    if (linked) tree.linked?.set(key, 1);
  }

  private ownerOf(stat: FileStat): Owner {
    return this.owner ?? { uid: stat.uid, gid: stat.gid };
  }

  private modeOf(stat: FileStat): number {
    return this.mode ? applyMode(this.mode, stat.mode, (stat.mode & S.IFMT) === S.IFDIR) : stat.mode;
  }
}

/** ADD's archives: unpacked in the destination, with the owners they tell. */
async function extract(rootFd: number, input: CopyInput, dest: string, pacer: Pacer): Promise<void> {
  const [folder, name] = splitPath(input.selected.real);
  const dirFd = openDirectory(await input.tree.root(), folder);
  let fd: number;
  try {
    fd = openAt(dirFd, name, O.RDONLY | O.NOFOLLOW);
  } finally {
    close(dirFd);
  }
  const extractor = new Extractor(rootFd, { base: dest, rootName: `/${dest}` });
  const parser = new TarParser(extractor);
  const inflater = new Inflater((chunk) => parser.push(chunk));
  try {
    const buffer = new Uint8Array(1 << 18);
    for (let n = read(fd, buffer); n > 0; n = read(fd, buffer)) {
      inflater.push(n === buffer.length ? buffer : buffer.subarray(0, n));
      await pacer.tick();
    }
    inflater.finish();
    parser.finish();
    extractor.finish();
  } finally {
    inflater.dispose();
    extractor.dispose();
    close(fd);
  }
}

function joinPath(folder: string, name: string): string {
  if (folder === "" || folder === ".") return name === "." ? "" : name;
  return name === "" || name === "." ? folder : `${folder}/${name}`;
}

/** Whether the path is a directory below a root, links followed; null where nothing is there. */
export function isDirectoryBelow(rootFd: number, path: string): { real: string; directory: boolean | null } {
  const real = followInRoot(rootFd, path);
  const stat = statPath(rootFd, real);
  return { real, directory: stat ? (stat.mode & S.IFMT) === S.IFDIR : null };
}
