import { Containers } from "./containers.ts";
import { EngineClient } from "./engine-client.ts";
import { Execs } from "./execs.ts";
import { Images } from "./images.ts";
import { Networks } from "./networks.ts";
import { System } from "./system.ts";
import { Volumes } from "./volumes.ts";

/**
 * A Docker-compatible engine.
 *
 *     const docker = new Docker();
 *     const { Id } = await docker.containers.create({ Image: "busybox", Cmd: ["echo", "hi"] });
 *     await docker.containers.start(Id);
 */
export class Docker extends EngineClient {
  readonly containers = new Containers(this);
  readonly execs = new Execs(this);
  readonly images = new Images(this);
  readonly networks = new Networks(this);
  readonly volumes = new Volumes(this);
  readonly system = new System(this);
}
