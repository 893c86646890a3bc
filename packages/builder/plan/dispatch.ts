import { GantryError, type ImageRunConfig, invalidParameter, notImplemented } from "@gantry/spec";
import { chompTabs, parseHeredoc } from "../dockerfile/heredoc.ts";
import type { Add, Arg, Command, CommandLine, Copy, Run, Workdir } from "../dockerfile/instructions.ts";
import { parseMount } from "../dockerfile/mounts.ts";
import { expand, type ShellOptions } from "../dockerfile/shell.ts";
import type { BuildArgs } from "./build-args.ts";
import {
  applyConfig,
  type ConfigState,
  type Expander,
  nop,
  nopFiles,
  resolveDest,
  resolveWorkdir,
  shellOf,
} from "./config.ts";
import { parseSourceRef } from "./source-ref.ts";
import type { Step } from "./step.ts";
import type { CopySource, ExecMount, Vertex } from "./vertex.ts";

/** Finds what `--from` names: a stage's or an image's files. */
export type FromResolver = (name: string, command: Command) => Promise<Vertex>;

/** Turns a stage's commands into steps, one after the other. */
export class Dispatcher {
  readonly steps: Step[] = [];
  private failed = false;

  constructor(
    private readonly state: ConfigState,
    private readonly args: BuildArgs,
    private readonly escapeChar: ShellOptions["escape"],
    private readonly context: Vertex,
    private readonly from: FromResolver,
    public vertex: Vertex,
  ) {}

  get config(): ImageRunConfig {
    return this.state.config;
  }

  /**
   * Adds the command's step. A wrong command becomes a failing step, so that what stands before it is still built and
   * seen; nothing may follow it.
   */
  async add(command: Command, code: string): Promise<void> {
    if (this.failed) return;
    try {
      await this.dispatch(command, code);
    } catch (error) {
      if (!(error instanceof GantryError)) throw error;
      this.failed = true;
      this.push({ code, container: false, createdBy: () => "", error });
    }
  }

  private push(step: Partial<Step> & Pick<Step, "code" | "container" | "createdBy">): void {
    // What is in a configuration is replaced, never changed in place: one level is copy enough.
    this.state.config = { ...this.state.config };
    this.steps.push({
      notes: [],
      vertex: this.vertex,
      touchesFiles: false,
      config: { ...this.state.config },
      author: this.state.author,
      ...step,
    });
  }

  private expander(): Expander {
    const lookup = this.args.lookup(this.config.Env ?? []);
    const options: ShellOptions = { escape: this.escapeChar };
    return {
      word: (text) => expand(text, lookup, options).text,
      words: (text) => expand(text, lookup, options).words,
    };
  }

  private async dispatch(command: Command, code: string): Promise<void> {
    switch (command.kind) {
      case "arg":
        return this.arg(command, code);
      case "workdir":
        return this.workdir(command, code);
      case "run":
        return this.run(command, code);
      case "copy":
      case "add":
        return this.copy(command, code);
    }
    const { comment, notes } = applyConfig(command, this.state, this.expander());
    const createdBy = nop(this.config, comment);
    this.push({ code, notes, container: true, createdBy: () => createdBy });
  }

  private arg(command: Arg, code: string): void {
    const { word } = this.expander();
    const args = command.args.map(({ key, value }) => ({
      key: word(key),
      value: value === undefined ? value : word(value),
    }));
    for (const { key, value } of args) this.args.declare(key, value);
    const text = args.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`)).join(" ");
    const createdBy = nop(this.config, `ARG ${text}`);
    this.push({ code, container: true, createdBy: () => createdBy });
  }

  private workdir(command: Workdir, code: string): void {
    const path = resolveWorkdir(this.config, this.expander().word(command.path));
    this.config.WorkingDir = path;
    this.vertex = { op: { type: "mkdir", path }, inputs: [this.vertex], description: `WORKDIR ${path}` };
    const createdBy = nopFiles(this.config, `WORKDIR ${path}`);
    this.push({ code, container: true, touchesFiles: true, createdBy: () => createdBy });
  }

  private async run(command: Run, code: string): Promise<void> {
    if (command.security === "insecure") {
      throw notImplemented("--security=insecure needs an entitlement that this build does not have");
    }
    const { config } = this;
    const env = config.Env ?? [];
    const { args, script } = runArgs(command.command, config);
    const environment = this.args.environment(env);
    const significant = this.args.significant(environment);
    const quiet = environment.filter((pair) => !significant.includes(pair));
    const inputs = [this.vertex];
    const { word } = this.expander();
    const mounts: ExecMount[] = [];
    for (const text of command.mounts) {
      const mount: ExecMount = parseMount(text, word);
      if (mount.type === "bind" || (mount.type === "cache" && mount.from !== "")) {
        mount.input = inputs.push(mount.from === "" ? this.context : await this.from(mount.from, command)) - 1;
      }
      mounts.push(mount);
    }
    this.vertex = {
      op: {
        type: "exec",
        args,
        env: [...env, ...significant],
        quietEnv: quiet,
        cwd: config.WorkingDir || "/",
        user: config.User ?? "",
        network: command.network,
        security: command.security,
        mounts,
        script,
      },
      inputs,
      description: `RUN ${args.join(" ")}`.slice(0, 1000),
    };
    const saved = significant.length > 0 ? [`|${significant.length}`, ...significant, ...args] : args;
    this.push({ code, container: true, touchesFiles: true, createdBy: () => saved.join(" ") });
  }

  private async copy(command: Copy | Add, code: string): Promise<void> {
    const { config } = this;
    const { word } = this.expander();
    const name = command.kind === "copy" ? "COPY" : "ADD";
    const inputs = [this.vertex];
    const fromName = command.kind === "copy" ? command.from : "";
    const rawDest = word(command.dest);
    let local = -1;
    const sources: CopySource[] = [];
    for (const source of command.sources) {
      const path = word(source);
      const ref = parseSourceRef(path);
      if (ref.type !== "local" && command.kind === "copy")
        throw invalidParameter("COPY failed: source can't be a URL for COPY");
      if (ref.type === "local") {
        if (local < 0) local = inputs.push(fromName === "" ? this.context : await this.from(fromName, command)) - 1;
        sources.push({ input: local, path, remote: false });
      } else {
        sources.push({ input: inputs.push(this.remote(ref, command as Add, word)) - 1, path: "", remote: true });
      }
    }
    const inline = command.inline.map(({ name, content, expand: replace }) => {
      if (!replace) return { name, content };
      const lookup = this.args.lookup(config.Env ?? []);
      return { name, content: expand(content, lookup, { escape: "\\", skipQuotes: true }).text };
    });
    const chown = command.chown === undefined ? undefined : word(command.chown);
    const chmod = command.chmod === undefined ? undefined : word(command.chmod);
    const several = sources.length + inline.length > 1;
    if (several && !/(^|\/)\.?$/.test(rawDest)) {
      throw invalidParameter(
        `When using ${name} with more than one source file, the destination must be a directory and end with a /`,
      );
    }
    const unpack = command.kind === "copy" || command.unpack === false ? "none" : command.unpack ? "all" : "local";
    this.vertex = {
      op: {
        type: "copy",
        command: name,
        sources,
        inline,
        dest: resolveDest(config, rawDest),
        rawDest,
        chown: chown || (fromName === "" ? "0:0" : undefined),
        chmod: chmod || undefined,
        exclude: command.exclude,
        parents: command.kind === "copy" && command.parents,
        link: command.link,
        unpack,
      },
      inputs,
      description: code,
    };
    const chownText = chown ? `--chown=${chown} ` : "";
    const chmodText = chmod ? `--chmod=${chmod} ` : "";
    this.push({
      code,
      container: false,
      touchesFiles: true,
      createdBy: (hash) => nopFiles(config, `${name} ${chownText}${chmodText}${hash} in ${rawDest} `),
    });
  }

  private remote(
    ref: Exclude<ReturnType<typeof parseSourceRef>, { type: "local" }>,
    command: Add,
    word: (text: string) => string,
  ): Vertex {
    if (ref.type === "git") {
      const { remote, ref: revision, subdir } = ref.ref;
      const url = `${remote}#${revision}${subdir ? `:${subdir}` : ""}`;
      return { op: { type: "git", url, keepGitDir: command.keepGitDir }, inputs: [], description: url };
    }
    const checksum = word(command.checksum);
    return { op: { type: "http", url: ref.url, checksum }, inputs: [], description: ref.url };
  }
}

/** RUN's command line; a lone heredoc is a script, others are handed to the shell as they were written. */
function runArgs(
  command: CommandLine,
  config: ImageRunConfig,
): { args: string[]; script?: { name: string; content: string } } {
  if (!command.shell) return { args: command.args };
  const [text = ""] = command.args;
  const shell = shellOf(config);
  const [first] = command.heredocs;
  if (!first) return { args: command.args.length > 0 ? [...shell, text] : shell };
  if (parseHeredoc(text) === null) {
    const bodies = command.heredocs.map(({ name, content }) => `\n${content}${name}`).join("");
    return { args: [...shell, text + bodies] };
  }
  const content = first.chomp ? chompTabs(first.content) : first.content;
  if (!first.content.startsWith("#!")) return { args: [...shell, content] };
  return { args: [...shell, `/dev/pipes/${first.name}`], script: { name: first.name, content } };
}
