import {
  type ContainerConfigRequest,
  conflict,
  type Digest,
  familiarString,
  type ImageRunConfig,
  parseReference,
  withDefaultTag,
  withTag,
} from "@gantry/spec";
import { mergeImageConfig, normaliseConfig } from "../config/container-config.ts";
import type { Engine } from "../engine.ts";
import type { Images } from "../images/index.ts";
import type { Container } from "./container.ts";

export interface CommitOptions {
  repository: string;
  tag: string;
  author: string;
  comment: string;
  changes: string[];
  /** Pause it meanwhile, so that the files agree with each other. */
  pause: boolean;
  /** Overrides of the container's configuration. */
  config: ContainerConfigRequest | undefined;
}

/** Makes an image of a container's present content. Returns the image's ID. */
export async function commitContainer(
  engine: Engine,
  images: Images,
  container: Container,
  options: CommitOptions,
): Promise<Digest> {
  const leaving = () => conflict(`You cannot commit container ${container.id} which is being removed`);
  if (container.removing || container.removed) throw leaving();
  const { record, task } = container;
  const pause = options.pause && task !== null && container.state.status === "running";
  // One that cannot be paused is mostly one that ends this moment: nothing changes its files then.
  const paused =
    pause &&
    (await task.pause().then(
      () => true,
      () => false,
    ));
  if (paused) container.emit("pause");
  await container.prepared?.discard();
  let layer: Awaited<ReturnType<typeof engine.storage.layers.commitContainer>> | null = null;
  const lease = engine.storage.lease();
  try {
    try {
      const changes = await engine.storage.layers.changes(container.id);
      layer = changes.length === 0 ? null : await engine.storage.layers.commitContainer(container.id);
      if (layer !== null) lease.add(layer.diffId);
    } catch (error) {
      throw container.removing || container.removed ? leaving() : error;
    } finally {
      if (paused) {
        await task.resume().catch(() => {});
        container.emit("unpause");
      }
    }
    const config = normaliseConfig(options.config ?? {});
    mergeImageConfig(config, record.config as ImageRunConfig);
    const { Hostname: _h, Domainname: _d, AttachStdin: _a, AttachStdout: _b, AttachStderr: _c, ...kept } = config;
    const id = await images.commit({
      ...(record.imageId === "" ? {} : { parent: record.imageId }),
      layer,
      config: runConfig(kept),
      createdBy: [record.path, ...record.args].join(" "),
      containerId: record.id,
      author: options.author,
      comment: options.comment,
      repository: options.repository,
      tag: options.tag,
      changes: options.changes,
    });
    container.emit("commit", {
      comment: options.comment,
      imageID: id,
      imageRef: familiarTarget(options.repository, options.tag),
    });
    return id;
  } finally {
    lease.release();
  }
}

function familiarTarget(repository: string, tag: string): string {
  if (repository === "") return "";
  const given = parseReference(repository);
  return familiarString(tag ? withTag(given, tag) : withDefaultTag(given));
}

/** The part of a container's configuration that images have. */
function runConfig(config: ReturnType<typeof normaliseConfig>): ImageRunConfig {
  const result: Record<string, unknown> = {};
  for (const key of [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
  ] as const) {
    const value = config[key];
    if (value !== undefined && value !== null) result[key] = value;
  }
  return result as ImageRunConfig;
}
