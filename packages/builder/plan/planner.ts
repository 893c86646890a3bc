import { GantryError, invalidParameter, type Platform } from "@gantry/spec";
import type { Command, Stage } from "../dockerfile/instructions.ts";
import { mountFrom } from "../dockerfile/mounts.ts";
import { type ParsedFile, parseFile } from "../dockerfile/parser.ts";
import { expand } from "../dockerfile/shell.ts";
import { findStage, parseStages, parseTrigger } from "../dockerfile/stages.ts";
import { BuildArgs } from "./build-args.ts";
import { beginConfig } from "./config.ts";
import { Dispatcher } from "./dispatch.ts";
import { hostPlatform, parsePlatform, platformArgs } from "./platform.ts";
import type { BaseImage, PlannedStage, StageBase } from "./step.ts";
import type { Vertex } from "./vertex.ts";

export interface PlanOptions {
  /** Stage to build; the last one where it is "". */
  target: string;
  buildArgs: Record<string, string | null | undefined>;
  /** Labels put on the last stage. */
  labels: Record<string, string>;
  platform?: Platform;
  /** Gives an image, pulled where needed. `step` is the stage that asks, for progress. */
  resolveImage(reference: string, platform: Platform | undefined, stage: Stage): Promise<BaseImage>;
}

/** What a Dockerfile comes to: the stages the target needs, in the file's order. */
export class Plan {
  private readonly planned = new Map<Stage, Promise<PlannedStage>>();
  private readonly images = new Map<string, Promise<Vertex>>();
  private readonly context: Vertex = { op: { type: "context" }, inputs: [], description: "context" };

  private constructor(
    private readonly file: ParsedFile,
    private readonly options: PlanOptions,
    private readonly args: BuildArgs,
    /** ARGs before the first FROM, as written. */
    readonly metaArgs: string[],
    private readonly all: Stage[],
    /** The stages that will be built, in order; the last one is the result. */
    readonly stages: Stage[],
  ) {}

  /** Reads the file and finds out which stages are needed. Throws invalidParameter, before anything is built. */
  static create(file: ParsedFile, options: PlanOptions): Plan {
    const { metaArgs, stages } = parseStages(file.nodes);
    const host = hostPlatform();
    const args = BuildArgs.create(options.buildArgs, platformArgs(host, options.platform ?? host));
    const lookup = (name: string) => args.metaValue(name);
    for (const { key, value } of metaArgs.flatMap((arg) => arg.args)) {
      args.declareMeta(
        key,
        value === undefined ? value : expand(value, lookup, { escape: file.directives.escape }).text,
      );
    }
    const names = new Set<string>();
    for (const { name } of stages) {
      if (name !== "" && names.has(name)) throw invalidParameter(`${name} stage name already used`);
      names.add(name);
    }
    const target = options.target === "" ? stages.at(-1) : findStage(stages, options.target);
    if (!target) {
      if (options.target === "") throw invalidParameter("No image was generated. Is your Dockerfile empty?");
      throw invalidParameter(`target stage ${JSON.stringify(options.target)} could not be found`);
    }
    for (const key of Object.keys(options.labels).sort()) {
      const value = options.labels[key]!;
      target.commands.push({
        kind: "label",
        code: `LABEL ${key}=${value}`,
        startLine: target.from.endLine,
        endLine: target.from.endLine,
        literal: true,
        pairs: [{ key, value, delimited: true }],
      });
    }
    const plan = new Plan(
      file,
      options,
      args,
      metaArgs.map((arg) => arg.code),
      stages,
      [],
    );
    plan.stages.push(...plan.reachable(target));
    return plan;
  }

  /** Arguments that were given and that nothing asked for. */
  get unusedArgs(): string[] {
    return this.args.unused();
  }

  get warnings(): string[] {
    return this.file.warnings;
  }

  /** Number of steps that `Step n/m` counts. */
  get stepCount(): number {
    return this.metaArgs.length + this.stages.reduce((sum, stage) => sum + 1 + stage.commands.length, 0);
  }

  /** The stage's steps, once the images it rests on are known. */
  stage(stage: Stage): Promise<PlannedStage> {
    let planned = this.planned.get(stage);
    if (!planned) {
      planned = this.plan(stage);
      planned.catch(() => {});
      this.planned.set(stage, planned);
    }
    return planned;
  }

  private expandMeta(text: string): string {
    return expand(text, (name) => this.args.metaValue(name), { escape: this.file.directives.escape }).text;
  }

  private reachable(target: Stage): Stage[] {
    const seen = new Set<Stage>();
    const visit = (stage: Stage) => {
      if (seen.has(stage)) return;
      seen.add(stage);
      for (const name of this.references(stage)) {
        const found = this.earlier(name, stage);
        if (found) visit(found);
      }
    };
    visit(target);
    return [...seen].sort((a, b) => a.index - b.index);
  }

  private references(stage: Stage): string[] {
    let image = stage.from.image;
    try {
      image = this.expandMeta(image);
    } catch {
      // Told when the stage is reached.
    }
    // FROM takes names only: a number there is an image's.
    const base = /^\d+$/.test(image) ? [] : [image];
    return [...base, ...stage.commands.flatMap(commandReferences)];
  }

  /** The stage before `stage` that a name means. FROM takes names only; `--from` takes numbers, too. */
  private earlier(name: string, stage: Stage): Stage | undefined {
    return findStage(this.all.slice(0, stage.index), name);
  }

  private async plan(stage: Stage): Promise<PlannedStage> {
    const base = await this.base(stage);
    const { config, triggers } = beginConfig(
      base.type === "image" ? base.image.config : base.type === "stage" ? base.stage.config : {},
    );
    const dispatcher = new Dispatcher(
      { config, author: "", cmdSet: false },
      this.args.forStage(),
      this.file.directives.escape,
      this.context,
      (name, command) => this.from(name, stage, command),
      base.vertex,
    );
    for (const trigger of triggers) await dispatcher.add(parseTrigger(parseFile(trigger).nodes), "");
    for (const command of stage.commands) await dispatcher.add(command, command.code);
    const result = dispatcher.vertex;
    return { stage, base, triggers: triggers.length, steps: dispatcher.steps, result, config: dispatcher.config };
  }

  private async base(stage: Stage): Promise<StageBase> {
    const name = this.expandMeta(stage.from.image);
    if (name === "") throw invalidParameter(`base name (${stage.from.image}) should not be blank`);
    const found = this.all.slice(0, stage.index).findLast((other) => other.name === name.toLowerCase());
    if (found) {
      const planned = await this.stage(found);
      return { type: "stage", stage: planned, vertex: planned.result };
    }
    if (name === "scratch") {
      return { type: "scratch", vertex: { op: { type: "base", layers: [] }, inputs: [], description: "scratch" } };
    }
    const platform = this.platformOf(stage);
    const image = await this.options.resolveImage(name, platform, stage);
    return { type: "image", image, vertex: baseVertex(image, name) };
  }

  private platformOf(stage: Stage): Platform | undefined {
    const text = this.expandMeta(stage.from.platform);
    if (text === "") return this.options.platform;
    try {
      return parsePlatform(text);
    } catch (error) {
      if (!(error instanceof GantryError)) throw error;
      throw invalidParameter(`failed to parse platform ${text}: ${error.message}`);
    }
  }

  private async from(name: string, stage: Stage, command: Command): Promise<Vertex> {
    const found = this.earlier(name, stage);
    if (found) return (await this.stage(found)).result;
    if (/^\d+$/.test(name)) {
      const what = Number(name) === stage.index ? "refers to current build stage" : "index out of bounds";
      throw invalidParameter(`invalid from flag value ${name}: ${what}`);
    }
    let image = this.images.get(name);
    if (!image) {
      image = this.options.resolveImage(name, this.options.platform, stage).then((base) => baseVertex(base, name));
      image.catch(() => {});
      this.images.set(name, image);
    }
    try {
      return await image;
    } catch (error) {
      if (!(error instanceof GantryError) || command.kind !== "copy") throw error;
      throw new GantryError(error.kind, `invalid from flag value ${name}: ${error.message}`, { cause: error });
    }
  }
}

function baseVertex(image: BaseImage, name: string): Vertex {
  return { op: { type: "base", layers: image.layers }, inputs: [], description: `FROM ${name}` };
}

function commandReferences(command: Command): string[] {
  if (command.kind === "copy") return command.from === "" ? [] : [command.from];
  if (command.kind === "run") return command.mounts.map(mountFrom).filter((name) => name !== "");
  return [];
}
