/** The probe as an image, and the two engines it is run on. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { type Facts, parseFacts } from "./facts.ts";

const IMAGE = "gantry-test-probe";
const TIMEOUT_SECONDS = "55";

export interface Probe {
  /** Archive of a file system with nothing but /probe. */
  archive: string;
  /** What the machine itself looks like; nothing is tried on it. */
  host: Facts;
  remove(): void;
}

/** Compiles the probe. Null where there is no C compiler with a static libc. */
export function buildProbe(): Probe | null {
  const dir = mkdtempSync(`${tmpdir()}/gantry-test-probe-`);
  const remove = () => rmSync(dir, { recursive: true, force: true });
  for (const compiler of ["gcc", "cc", "musl-gcc"]) {
    if (!Bun.which(compiler)) continue;
    const flags = ["-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o", `${dir}/probe`, `${import.meta.dir}/probe.c`];
    if (Bun.spawnSync([compiler, ...flags], { stderr: "inherit" }).exitCode !== 0) continue;
    Bun.spawnSync(["tar", "-C", dir, "--owner=0", "--group=0", "-cf", `${dir}/probe.tar`, "probe"]);
    const host = Bun.spawnSync([`${dir}/probe`, "host"], { stdout: "pipe" }).stdout.toString();
    return { archive: `${dir}/probe.tar`, host: parseFacts(host), remove };
  }
  remove();
  return null;
}

async function docker(host: string, ...args: string[]): Promise<string> {
  const child = Bun.spawn(["timeout", TIMEOUT_SECONDS, "docker", "-H", host, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** An engine that has the probe's image, at a DOCKER_HOST. */
export class ProbedEngine {
  #sleeper = `gantry-test-sleeper-${process.pid}`;
  #sleeping = false;

  constructor(
    readonly host: string,
    readonly archive: string,
  ) {}

  async prepare(): Promise<void> {
    await docker(this.host, "import", "-c", 'CMD ["/probe"]', this.archive, IMAGE);
  }

  async run(args: string[]): Promise<Facts> {
    return parseFacts(await docker(this.host, "run", "--rm", ...args, IMAGE));
  }

  async exec(args: string[]): Promise<Facts> {
    if (!this.#sleeping) await docker(this.host, "run", "-d", "--name", this.#sleeper, IMAGE, "/probe", "sleep");
    this.#sleeping = true;
    return parseFacts(await docker(this.host, "exec", ...args, this.#sleeper, "/probe"));
  }

  async update(args: string[]): Promise<Facts> {
    await this.exec([]);
    await docker(this.host, "update", ...args, this.#sleeper);
    return this.exec([]);
  }

  async close(): Promise<void> {
    if (this.#sleeping) await docker(this.host, "rm", "-f", this.#sleeper);
    await docker(this.host, "rmi", "-f", IMAGE);
  }
}
