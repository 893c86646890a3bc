import { type Distribution, decodeRegistryAuth, toCredentials } from "@gantry/distribution";
import type { Images } from "@gantry/engine";
import { AuthConfig } from "@gantry/spec";
import { type Route, route } from "../http/index.ts";

/** `/distribution/{name}/json` and `/auth`: what is asked of registries themselves. */
export function distributionRoutes(images: Images, distribution: Distribution): Route[] {
  return [
    route("GET", "/distribution/{name:.*}/json", {}, async (context) => {
      const credentials = decodeRegistryAuth(context.header("x-registry-auth"));
      const name = context.params["name"] ?? "";
      context.json(await images.inspectRemote(name, { credentials, signal: context.signal }));
    }),
    route("POST", "/auth", { body: AuthConfig, bodyName: "AuthConfig", bodyNeeded: true }, async (context) => {
      const credentials = toCredentials(context.body as Record<string, unknown>) ?? {};
      const registry = credentials.serverAddress ?? "";
      const IdentityToken = (await distribution.login(registry, credentials, context.signal)) ?? "";
      context.json({ Status: "Login Succeeded", IdentityToken });
    }),
  ];
}
