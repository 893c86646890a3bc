import type { Engine } from "../engine.ts";

/** The name of a network that may have been given by its ID; what was given, where there is no such network (yet). */
export function networkName(engine: Engine, given: string): string {
  if (!/^[0-9a-f]{1,64}$/.test(given)) return given;
  try {
    return engine.network.resolve(given).Name;
  } catch {
    return given;
  }
}
