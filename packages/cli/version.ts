/** Gantry's version, the commit it was built from, and when; the build fills them in. */
export const VERSION = process.env.GANTRY_VERSION || "0.1.0";
export const COMMIT = process.env.GANTRY_COMMIT || "source";
export const BUILD_TIME = process.env.GANTRY_BUILD_TIME || "";
