import manifest from "./package.json" with { type: "json" };

/** This engine's version. */
export const VERSION: string = manifest.version;
