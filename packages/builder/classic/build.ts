import { randomBytes } from "node:crypto";
import {
  type Digest,
  familiarString,
  GantryError,
  invalidParameter,
  parseReference,
  systemError,
  withDefaultTag,
} from "@gantry/spec";
import type { Lease, Storage } from "@gantry/storage";
import type { BuildOutput, BuildRequest, PullImage } from "../contract.ts";
import type { Stage } from "../dockerfile/instructions.ts";
import type { StepRunner } from "../exec/run.ts";
import { StepLog } from "../exec/step-log.ts";
import { Plan } from "../plan/planner.ts";
import { hostPlatform } from "../plan/platform.ts";
import type { BaseImage, PlannedStage, Step } from "../plan/step.ts";
import type { Vertex } from "../plan/vertex.ts";
import type { BuildCache } from "../solver/cache.ts";
import { timestamp } from "../solver/keys.ts";
import type { Semaphore } from "../solver/semaphore.ts";
import { Solver } from "../solver/solver.ts";
import { type BuildContext, receiveContext } from "./context.ts";
import { HistoryCache } from "./history-cache.ts";
import { afterStep, fromBase, type StageImage } from "./image-config.ts";
import { ClassicPrinter, shortId } from "./messages.ts";

/** What builds share. */
export interface ClassicDeps {
  storage: Storage;
  cache: BuildCache;
  runner: StepRunner;
  slots: Semaphore;
  pullImage: PullImage;
  temporary: string;
  onTag: (id: Digest, name: string) => void;
}

/** Runs one build and prints it as Docker's classic builder does. */
export async function classicBuild(request: BuildRequest, output: BuildOutput, deps: ClassicDeps): Promise<Digest> {
  const tags = request.tags.map(tagName);
  const context = await receiveContext(request.source, request.dockerfile, deps.temporary, request.signal);
  const lease = deps.storage.lease();
  let build: ClassicBuild | null = null;
  try {
    build = new ClassicBuild(request, output, deps, context, lease);
    const id = await build.run();
    const { images, content } = deps.storage;
    for (const tag of tags) {
      // A prune may have come before its name; all it is made of is held.
      if (!images.get(id)) await images.create(await content.read(id));
      deps.storage.images.tag(id, tag);
      deps.onTag(id, tag);
    }
    await build.finished(id, tags);
    return id;
  } finally {
    await build?.close();
    lease.release();
    context.tree.close();
  }
}

function tagName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest) throw invalidParameter("build tag cannot contain a digest");
  return familiarString(withDefaultTag(reference));
}

class ClassicBuild {
  private readonly printer: ClassicPrinter;
  private readonly plan: Plan;
  private readonly solver: Solver;
  private readonly history: HistoryCache;
  private readonly abort = new AbortController();
  private readonly baseLogs = new Map<Stage, StepLog>();
  private readonly images = new Map<Stage, StageImage>();
  /** `Step n/m` of steps that work on files, to show one that fails before its turn. */
  private readonly numbers = new Map<Vertex, { number: number; code: string }>();
  /** Images of steps that are not recorded yet. */
  private readonly pending: { id: Digest; bytes: Uint8Array; parent: Digest | null }[] = [];
  /** What went wrong first; everything after it is a consequence. */
  private failure: { vertex: Vertex | null; error: unknown } | null = null;

  constructor(
    private readonly request: BuildRequest,
    output: BuildOutput,
    private readonly deps: ClassicDeps,
    context: BuildContext,
    private readonly lease: Lease,
  ) {
    this.printer = new ClassicPrinter(output);
    const signal = AbortSignal.any([request.signal, this.abort.signal]);
    this.history = new HistoryCache(deps.storage, request.cacheFrom);
    this.plan = Plan.create(context.file, {
      target: request.target,
      buildArgs: request.buildArgs,
      labels: request.labels,
      platform: request.platform,
      resolveImage: (reference, platform, stage) => this.resolveImage(reference, platform, stage, signal),
    });
    this.solver = new Solver({
      ...deps,
      context: context.tree,
      settings: request.run,
      noCache: request.noCache,
      foreign: this.history.asked ? (vertex, hash) => this.history.find(this.solver, vertex, hash) : null,
      signal,
      onFailure: (vertex, error) => this.fail(vertex, error),
    });
  }

  /** Builds every stage. All of them begin at once; they are shown in the file's order. */
  async run(): Promise<Digest> {
    const { plan, printer } = this;
    let number = plan.metaArgs.length;
    for (const stage of plan.stages) {
      void this.begin(stage, number + 1).catch((error) => this.fail(null, error));
      number += 1 + stage.commands.length;
    }
    number = 0;
    const total = plan.stepCount;
    if (plan.warnings.length > 0) {
      for (const warning of plan.warnings) await printer.commandOutput("stderr", encode(`[WARNING]: ${warning}\n`));
      await printer.commandOutput(
        "stderr",
        encode("[WARNING]: Empty continuation lines will become errors in a future release.\n"),
      );
    }
    for (const code of plan.metaArgs) await printer.step(++number, total, code);
    let last: StageImage | null = null;
    for (const stage of plan.stages) {
      last = await this.stage(stage, number, total);
      number += 1 + stage.commands.length;
    }
    if (plan.unusedArgs.length > 0) {
      await printer.line(`[Warning] One or more build-args [${plan.unusedArgs.join(" ")}] were not consumed`);
    }
    if (!last?.id) throw systemError("No image was generated. Is your Dockerfile empty?");
    return last.id;
  }

  async finished(id: Digest, tags: string[]): Promise<void> {
    await this.printer.line(`Successfully built ${shortId(id)}`);
    for (const tag of tags) await this.printer.line(`Successfully tagged ${tag}`);
  }

  async close(): Promise<void> {
    // The images of steps that went well stay, also where a later one failed.
    await this.record().catch(() => {});
    this.abort.abort(new GantryError("cancelled", "build cancelled"));
    for (const log of this.baseLogs.values()) log.end();
    await this.solver.close();
  }

  private fail(vertex: Vertex | null, error: unknown): void {
    if (this.failure) return;
    this.failure = { vertex, error };
    this.abort.abort(new GantryError("cancelled", "build cancelled"));
  }

  /** `number`: the FROM's. */
  private async begin(stage: Stage, number: number): Promise<void> {
    const planned = await this.plan.stage(stage).finally(() => this.baseLog(stage).end());
    planned.steps.slice(planned.triggers).forEach((step, i) => {
      if (step.touchesFiles) this.numbers.set(step.vertex, { number: number + 1 + i, code: step.code });
    });
    this.history.add(planned);
    await this.solver.solve(planned.result).catch(() => {
      // Told by onFailure, with the vertex that failed.
    });
  }

  private baseLog(stage: Stage): StepLog {
    let log = this.baseLogs.get(stage);
    if (!log) {
      log = new StepLog();
      this.baseLogs.set(stage, log);
    }
    return log;
  }

  private async resolveImage(
    reference: string,
    platform: BuildRequest["platform"],
    stage: Stage,
    signal: AbortSignal,
  ): Promise<BaseImage> {
    const image = await this.deps.pullImage(reference, {
      platform,
      always: this.request.pull,
      auth: this.request.auth,
      progress: (message) => void this.baseLog(stage).push({ type: "message", message }),
      signal,
    });
    const { config } = image;
    this.hold(image.id, config.rootfs.diff_ids);
    return {
      id: image.id,
      layers: config.rootfs.diff_ids,
      config: config.config ?? {},
      history: config.history ?? [],
      author: config.author ?? "",
      platform: {
        architecture: config.architecture,
        os: config.os,
        ...(config.variant ? { variant: config.variant } : {}),
      },
    };
  }

  private async stage(stage: Stage, numberBefore: number, total: number): Promise<StageImage> {
    const { printer } = this;
    let number = numberBefore + 1;
    await printer.step(number, total, stage.from.code);
    for await (const event of this.baseLog(stage).read())
      if (event.type === "message") await printer.raw(event.message);
    const planned = await this.unlessFailed(this.plan.stage(stage), null);
    let image = this.baseOf(planned);
    const triggers = planned.steps.slice(0, planned.triggers);
    if (triggers.length > 0) {
      await printer.line(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? "s" : ""}`);
      for (const step of triggers) image = await this.step(step, image);
    }
    await printer.image(image.id ?? "");
    for (const step of planned.steps.slice(planned.triggers)) {
      await printer.step(++number, total, step.code);
      image = await this.step(step, image);
      await printer.image(image.id ?? "");
    }
    await this.record();
    this.images.set(stage, image);
    if (image.id) await printer.aux(image.id);
    return image;
  }

  private baseOf(planned: PlannedStage): StageImage {
    const { base } = planned;
    if (base.type === "image") return fromBase(base.image);
    if (base.type === "stage") return this.images.get(base.stage.stage)!;
    return { id: null, layers: [], history: [], platform: this.request.platform ?? hostPlatform() };
  }

  /** Shows a step as it is worked on, and makes the image after it. */
  private async step(step: Step, before: StageImage): Promise<StageImage> {
    const { printer, request } = this;
    for (const note of step.notes) await printer.line(note);
    if (step.error) throw step.error;
    if (!step.touchesFiles) return this.configStep(step, before);

    let container: string | null = null;
    for await (const event of this.solver.log(step.vertex).read()) {
      if (event.type === "started") {
        container = event.containerId;
        await printer.running(container);
      } else if (event.type === "output") await printer.commandOutput(event.stream, event.data);
      else await printer.raw(event.message);
    }
    let result: Awaited<ReturnType<Solver["files"]>>;
    try {
      result = await this.unlessFailed(this.solver.files(step.vertex), step.vertex);
    } catch (error) {
      if (container && request.forceRemove && this.failure?.vertex === step.vertex) await printer.removed(container);
      throw error;
    }
    if (result.cached) await printer.usingCache();
    else if (step.container) {
      if (!container) {
        container = randomBytes(32).toString("hex");
        await printer.running(container);
      }
      if (request.remove || request.forceRemove) await printer.removed(container);
    }
    return this.commit(step, before, {
      created: result.created,
      createdBy: step.createdBy(result.contentHash),
      layers: result.layers,
      emptyLayer: result.own === null,
    });
  }

  private async configStep(step: Step, before: StageImage): Promise<StageImage> {
    const { cache } = this.deps;
    const createdBy = step.createdBy("");
    const key = new Bun.CryptoHasher("sha256")
      .update(JSON.stringify([before.id, createdBy, step.author, step.config]))
      .digest("hex");
    let created: string | null = null;
    if (!this.request.noCache) {
      created = this.history.asked ? this.history.findConfig(before, createdBy) : cache.findConfig(key);
    }
    if (created !== null) await this.printer.usingCache();
    else {
      created = timestamp();
      cache.storeConfig(key, created);
      const container = randomBytes(32).toString("hex");
      await this.printer.running(container);
      if (this.request.remove || this.request.forceRemove) await this.printer.removed(container);
    }
    return this.commit(step, before, { created, createdBy, layers: before.layers, emptyLayer: true });
  }

  private commit(step: Step, before: StageImage, made: Parameters<typeof afterStep>[2]): StageImage {
    const { bytes, after } = afterStep(before, step, made);
    this.pending.push({ id: after.id!, bytes, parent: before.id });
    this.hold(after.id!, after.layers);
    return after;
  }

  /** An image of this build outlives its removal until the build is done. */
  private hold(id: Digest, layers: Digest[]): void {
    for (const digest of [id, ...layers]) this.lease.add(digest);
  }

  /**
   * Records the images of the steps so far. Where the last one is there already, so are those it was made on: then all
   * steps came from the cache, and nothing is written.
   */
  private async record(): Promise<void> {
    const { images } = this.deps.storage;
    const pending = this.pending.splice(0);
    const last = pending.at(-1);
    if (!last || images.get(last.id)) return;
    for (const { id, bytes, parent } of pending) {
      if (!images.get(id)) await images.create(bytes, parent && images.get(parent) ? { parent } : {});
    }
  }

  /** Waits for work that is shown now. Where another step failed meanwhile, that one is shown, and its error thrown. */
  private async unlessFailed<T>(work: Promise<T>, vertex: Vertex | null): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.fail(vertex, error);
      const { failure } = this;
      const other = failure?.vertex && failure.vertex !== vertex ? this.numbers.get(failure.vertex) : undefined;
      if (failure?.vertex && other) {
        await this.printer.step(other.number, this.plan.stepCount, other.code);
        for await (const event of this.solver.log(failure.vertex).read()) {
          if (event.type === "started") await this.printer.running(event.containerId);
          if (event.type === "output") await this.printer.commandOutput(event.stream, event.data);
        }
      }
      if (this.request.signal.aborted) throw new GantryError("cancelled", "Build cancelled", { cause: error });
      throw failure?.error ?? error;
    }
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
