import { rmSync } from "node:fs";
import { join } from "node:path";
import { GantryError, invalidParameter, notImplemented } from "@gantry/spec";
import { S } from "@gantry/sys";
import { parseGitRef } from "../plan/source-ref.ts";
import { TemporaryTree } from "../tree/temporary-tree.ts";

/**
 * Checks a git reference (`remote#ref:subdir`) out into a tree. Needs `git` on this machine, and says so where it is
 * missing. Nothing in the repository is run: no hooks, no local transports, no prompts.
 */
export async function fetchGit(
  url: string,
  options: { keepGitDir: boolean; temporary: string; context: boolean; signal: AbortSignal },
): Promise<TemporaryTree> {
  const git = Bun.which("git");
  if (!git)
    throw notImplemented(`unable to prepare context: git is not installed on this machine, and ${url} needs it`);
  const { remote, ref, subdir } = parseGitRef(url);
  const checkout = TemporaryTree.create(options.temporary, { context: options.context });
  const run = (...args: string[]) => runGit(git, checkout.path, args, options.signal);
  try {
    await run("init", "--quiet");
    await run("remote", "add", "--", "origin", remote);
    await fetchRef(run, ref);
    await run("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD");
    await run("submodule", "update", "--init", "--recursive", "--depth=1").catch(() => "");
    if (!options.keepGitDir) rmSync(join(checkout.path, ".git"), { recursive: true, force: true });
    return subdir === "" ? checkout : subdirectory(checkout, subdir, options);
  } catch (error) {
    checkout.close();
    throw error;
  }
}

/** A single commit where the server gives it; all of the history where it does not. */
async function fetchRef(run: (...args: string[]) => Promise<string>, ref: string): Promise<void> {
  try {
    await run("fetch", "--quiet", "--depth=1", "--", "origin", ref || "HEAD");
  } catch {
    await run("fetch", "--quiet", "--tags", "--", "origin");
    const target = ref === "" ? "FETCH_HEAD" : await run("rev-parse", "--verify", `${ref}^{commit}`);
    await run("update-ref", "FETCH_HEAD", target.trim());
  }
}

/** A folder of the checkout becomes the tree; links do not lead out of the checkout. */
function subdirectory(
  checkout: TemporaryTree,
  subdir: string,
  options: { temporary: string; context: boolean },
): TemporaryTree {
  const real = checkout.follow(subdir);
  const stat = checkout.stat(real);
  if (!stat || (stat.mode & S.IFMT) !== S.IFDIR)
    throw invalidParameter(`error setting git checkout: no such directory ${JSON.stringify(subdir)}`);
  if (real === "") return checkout;
  const tree = TemporaryTree.create(options.temporary, { context: options.context, from: join(checkout.path, real) });
  checkout.close();
  return tree;
}

async function runGit(git: string, cwd: string, args: string[], signal: AbortSignal): Promise<string> {
  const child = Bun.spawn([git, "-c", "core.hooksPath=/dev/null", "-c", "protocol.file.allow=user", ...args], {
    cwd,
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: cwd,
      GIT_TERMINAL_PROMPT: "0",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_ALLOW_PROTOCOL: "http:https:git:ssh",
      GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    signal,
  });
  const [output, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (signal.aborted) throw new GantryError("cancelled", "build cancelled");
  if (code !== 0) throw invalidParameter(`error fetching: git ${args[0]}: ${errors.trim().slice(0, 2000)}`);
  return output;
}
