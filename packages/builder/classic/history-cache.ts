import type { Digest } from "@gantry/spec";
import type { Storage, StoredImage } from "@gantry/storage";
import type { PlannedStage, Step } from "../plan/step.ts";
import type { Vertex } from "../plan/vertex.ts";
import type { CachedResult } from "../solver/cache.ts";
import type { Solver } from "../solver/solver.ts";
import type { StageImage } from "./image-config.ts";

/**
 * `--cache-from`: images whose history tells how they were made. A step is taken from one whose layers begin with ours
 * and whose history says the same for every step up to and with this one; for COPY and ADD that includes the content's
 * checksum. Where any are named, nothing else is a cache.
 */
export class HistoryCache {
  private readonly places = new Map<Vertex, { stage: PlannedStage; index: number }>();
  private readonly candidates: StoredImage[];
  /** Whether any image was named, here or not. */
  readonly asked: boolean;

  constructor(storage: Storage, references: string[]) {
    this.asked = references.length > 0;
    this.candidates = references.flatMap((reference) => {
      try {
        return [storage.images.resolve(reference)];
      } catch {
        // Not here: as Docker, no cache, and no error.
        return [];
      }
    });
  }

  /** Makes a stage's steps known. */
  add(stage: PlannedStage): void {
    stage.steps.forEach((step, index) => {
      if (step.touchesFiles) this.places.set(step.vertex, { stage, index });
    });
  }

  async find(solver: Solver, vertex: Vertex, contentHash: string): Promise<CachedResult | null> {
    const place = this.places.get(vertex);
    if (!place) return null;
    const { stage, index } = place;
    const step = stage.steps[index] as Step;
    const before = await this.historyOf(solver, stage, index);
    const layers = (await solver.files(vertex.inputs[0]!)).layers;
    const wanted = step.createdBy(contentHash);
    return this.match(before, layers, wanted);
  }

  /** When a step that changes no files was done; null where no image tells. */
  findConfig(before: StageImage, createdBy: string): string | null {
    const texts = before.history.map((entry) => entry.created_by ?? "");
    const found = this.match(texts, before.layers, createdBy);
    return found?.diffId === null ? found.created : null;
  }

  /** The step after those of `before`, which came to `layers`. */
  private match(before: string[], layers: Digest[], wanted: string): CachedResult | null {
    for (const { config } of this.candidates) {
      const history = config.history ?? [];
      const entry = history[before.length];
      if (!entry || entry.created_by !== wanted) continue;
      if (!before.every((text, i) => (history[i]?.created_by ?? "") === text)) continue;
      const below = history.slice(0, before.length).filter((item) => !item.empty_layer).length;
      const diffIds = config.rootfs.diff_ids;
      if (below !== layers.length || !layers.every((layer, i) => diffIds[i] === layer)) continue;
      const diffId = entry.empty_layer ? null : diffIds[below];
      if (diffId !== undefined) return { diffId, created: entry.created ?? "" };
    }
    return null;
  }

  /** `created_by` of every step before the given one, the base's first. */
  private async historyOf(solver: Solver, stage: PlannedStage, steps: number): Promise<string[]> {
    const texts: string[] = [];
    if (stage.base.type === "image") texts.push(...stage.base.image.history.map((entry) => entry.created_by ?? ""));
    if (stage.base.type === "stage") {
      texts.push(...(await this.historyOf(solver, stage.base.stage, stage.base.stage.steps.length)));
    }
    for (const step of stage.steps.slice(0, steps)) {
      const hash = step.touchesFiles ? (await solver.files(step.vertex)).contentHash : "";
      texts.push(step.createdBy(hash));
    }
    return texts;
  }
}
