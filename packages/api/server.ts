import type { Builder } from "@gantry/builder";
import type { Distribution } from "@gantry/distribution";
import type { Engine, Images } from "@gantry/engine";
import { messageOf, statusOf } from "@gantry/spec";
import type { DaemonConfig } from "./daemon-config.ts";
import { type Exchange, type Handler, MAX_API, Router } from "./http/index.ts";
import type { IdleKeeper } from "./idle.ts";
import { attachRoutes } from "./routes/attach.ts";
import { buildRoutes } from "./routes/build.ts";
import { containerFileRoutes } from "./routes/container-files.ts";
import { containerWatchRoutes } from "./routes/container-watch.ts";
import { containerRoutes } from "./routes/containers.ts";
import { distributionRoutes } from "./routes/distribution.ts";
import { eventRoutes } from "./routes/events.ts";
import { execRoutes } from "./routes/exec.ts";
import { imageRoutes } from "./routes/images.ts";
import { logRoutes } from "./routes/logs.ts";
import { networkRoutes } from "./routes/networks.ts";
import { pingRoutes } from "./routes/ping.ts";
import { swarmRoutes } from "./routes/swarm.ts";
import { systemRoutes } from "./routes/system.ts";
import { volumeRoutes } from "./routes/volumes.ts";
import { VERSION } from "./version.ts";

export interface ApiParts {
  engine: Engine;
  images: Images;
  distribution: Distribution;
  builder: Builder;
  config: DaemonConfig;
}

/** The whole API as a handler of exchanges. */
export function apiHandler(parts: ApiParts, idle: IdleKeeper): Handler {
  const { engine, images, distribution, builder } = parts;
  const router = new Router();
  router.add([
    ...pingRoutes(),
    ...containerRoutes(engine),
    ...containerFileRoutes(engine, images),
    ...containerWatchRoutes(engine),
    ...attachRoutes(engine),
    ...logRoutes(engine),
    ...execRoutes(engine),
    ...eventRoutes(engine),
    ...systemRoutes(parts),
    ...volumeRoutes(engine),
    ...networkRoutes(engine),
    ...swarmRoutes(),
    ...imageRoutes(images),
    ...buildRoutes(builder),
    ...distributionRoutes(images, distribution),
  ]);
  const common = {
    "Api-Version": `1.${MAX_API}`,
    "Docker-Experimental": String(engine.config.experimental),
    Ostype: "linux",
    Server: `Gantry/${VERSION} (linux)`,
  };
  return async (exchange: Exchange) => {
    idle.touch();
    exchange.common = common;
    try {
      await router.handle(exchange);
    } catch (error) {
      if (engine.config.debug || statusOf(error) === 500) {
        engine.log(
          statusOf(error) === 500 ? "error" : "debug",
          `${exchange.head.method} ${exchange.head.path}: ${messageOf(error)}`,
        );
      }
      exchange.fail(error);
    }
  };
}
