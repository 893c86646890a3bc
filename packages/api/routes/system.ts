import { arch, release } from "node:os";
import type { SystemVersion } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { MAX_API, MIN_API, type Route, route } from "../http/index.ts";
import type { ApiParts } from "../server.ts";
import { VERSION } from "../version.ts";
import { diskUsage } from "./disk-usage.ts";
import { systemInfo } from "./info.ts";
import { infoFor } from "./info-versions.ts";

const ARCH = arch() === "arm64" ? "arm64" : "amd64";

/** GET /version and GET /info. */
export function systemRoutes(parts: ApiParts): Route[] {
  return [
    route("GET", "/version", {}, (context) => {
      const kernel = release();
      const version: SystemVersion = {
        Platform: { Name: "Gantry Engine" },
        Components: [
          {
            Name: "Engine",
            Version: VERSION,
            Details: {
              ApiVersion: `1.${MAX_API}`,
              Arch: ARCH,
              BuildTime: "",
              Experimental: String(parts.engine.config.experimental),
              GitCommit: "",
              GoVersion: "",
              KernelVersion: kernel,
              MinAPIVersion: `1.${MIN_API}`,
              Os: "linux",
            },
          },
          { Name: "gantry-shim", Version: VERSION, Details: {} },
          { Name: "bun", Version: Bun.version, Details: {} },
        ],
        Version: VERSION,
        ApiVersion: `1.${MAX_API}`,
        MinAPIVersion: `1.${MIN_API}`,
        GitCommit: "",
        GoVersion: "",
        Os: "linux",
        Arch: ARCH,
        KernelVersion: kernel,
        BuildTime: "",
      };
      context.json(version);
    }),
    route("GET", "/info", {}, async (context) => context.json(infoFor(await systemInfo(parts), context.api))),
    route(
      "GET",
      "/system/df",
      {
        query: Type.Object({ type: Type.Optional(Type.Array(Type.String())), verbose: Type.Optional(Type.Boolean()) }),
      },
      async (context) => {
        const { type = [], verbose = false } = context.query;
        context.json(await diskUsage(parts, { types: type, api: context.api, verbose }));
      },
    ),
  ];
}
