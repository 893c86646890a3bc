import type { GantryError, ImageRunConfig } from "@gantry/spec";
import type { Stage } from "../dockerfile/instructions.ts";
import type { Vertex } from "./vertex.ts";

/** One instruction of a stage after variables were replaced: what it does to the files, and the configuration after it. */
export interface Step {
  /** As written, for `Step n/m : …`; "" for an ONBUILD trigger, which has no number of its own. */
  code: string;
  /** What is shown before the step's work: notes and warnings, each a line. */
  notes: string[];
  /** Files after this step; the previous step's vertex where it changes none. */
  vertex: Vertex;
  /** Whether `vertex` is this step's own. */
  touchesFiles: boolean;
  /** Whether Docker's classic builder would start or make a container for it. */
  container: boolean;
  /**
   * History's `created_by`. For COPY and ADD it names the content, so it is known only when that is.
   */
  createdBy: (contentHash: string) => string;
  config: ImageRunConfig;
  author: string;
  /** The instruction could not be dispatched: steps before it are done, then this is thrown. */
  error?: GantryError;
}

/** A stage with its base. */
export interface PlannedStage {
  stage: Stage;
  base: StageBase;
  /** ONBUILD triggers of the base come first. */
  triggers: number;
  steps: Step[];
  /** Files at the end of the stage. */
  result: Vertex;
  /** Configuration at the end. */
  config: ImageRunConfig;
}

/** What a stage starts from. */
export type StageBase =
  | { type: "scratch"; vertex: Vertex }
  | { type: "stage"; stage: PlannedStage; vertex: Vertex }
  | { type: "image"; image: BaseImage; vertex: Vertex };

import type { Digest, HistoryEntry, Platform } from "@gantry/spec";

/** What the planner needs to know of an image. */
export interface BaseImage {
  id: Digest;
  layers: Digest[];
  config: ImageRunConfig;
  history: HistoryEntry[];
  author: string;
  platform: Platform;
}
