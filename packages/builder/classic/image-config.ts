import type { Digest, HistoryEntry, ImageConfig, ImageRunConfig, Platform } from "@gantry/spec";
import type { BaseImage, Step } from "../plan/step.ts";

/** An image on its way through a stage; `id` is null before the first step from scratch. */
export interface StageImage {
  id: Digest | null;
  layers: Digest[];
  history: HistoryEntry[];
  platform: Platform;
}

export function fromBase(base: BaseImage): StageImage {
  return { id: base.id, layers: base.layers, history: base.history, platform: base.platform };
}

/** The image after a step: its configuration's bytes, whose digest is its ID, and what the next step builds on. */
export function afterStep(
  before: StageImage,
  step: Step,
  made: { created: string; createdBy: string; layers: Digest[]; emptyLayer: boolean },
): { bytes: Uint8Array; after: StageImage } {
  const entry: HistoryEntry = { created: made.created, created_by: made.createdBy };
  if (step.author) entry.author = step.author;
  if (made.emptyLayer) entry.empty_layer = true;
  const history = [...before.history, entry];
  const { architecture, os, variant } = before.platform;
  const config: ImageConfig = {
    architecture,
    ...(step.author ? { author: step.author } : {}),
    config: runConfig(step.config),
    created: made.created,
    history,
    os,
    rootfs: { type: "layers", diff_ids: made.layers },
    ...(variant ? { variant } : {}),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(config));
  const id: Digest = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
  return { bytes, after: { id, layers: made.layers, history, platform: before.platform } };
}

/** Only what is set, in one order: equal configurations have equal bytes. */
function runConfig(config: ImageRunConfig): ImageRunConfig {
  const sorted = <T>(record: Record<string, T> | null | undefined) =>
    record && Object.keys(record).length > 0
      ? Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
      : undefined;
  const all: ImageRunConfig = {
    User: config.User || undefined,
    ExposedPorts: sorted(config.ExposedPorts),
    Env: config.Env ?? undefined,
    Entrypoint: config.Entrypoint ?? undefined,
    Cmd: config.Cmd ?? undefined,
    Volumes: sorted(config.Volumes),
    WorkingDir: config.WorkingDir || undefined,
    Labels: sorted(config.Labels),
    StopSignal: config.StopSignal || undefined,
    StopTimeout: config.StopTimeout,
    Healthcheck: config.Healthcheck ?? undefined,
    OnBuild: config.OnBuild ?? undefined,
    Shell: config.Shell ?? undefined,
    ArgsEscaped: config.ArgsEscaped || undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as ImageRunConfig;
}
