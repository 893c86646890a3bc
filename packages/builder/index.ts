/** Dockerfile → plan → solver with a content-addressed cache, and the classic `/build` on top. */

export { openBuilder } from "./builder.ts";
export { errorMessage } from "./classic/messages.ts";
export * from "./contract.ts";
export { RunFailed } from "./exec/run.ts";
export { parseIgnoreFile } from "./ignore/file.ts";
export { type MatchState, PatternMatcher } from "./ignore/matcher.ts";
export { applyChanges } from "./plan/changes.ts";
export { parsePlatform } from "./plan/platform.ts";
