/** Dockerfile → plan → solver with a content-addressed cache, and the classic `/build` on top. */
export { applyChanges } from "./plan/changes.ts";
export { openBuilder } from "./builder.ts";
export { errorMessage } from "./classic/messages.ts";
export * from "./contract.ts";
export { parseIgnoreFile } from "./ignore/file.ts";
export { type MatchState, PatternMatcher } from "./ignore/matcher.ts";
export { parsePlatform } from "./plan/platform.ts";
export { RunFailed } from "./exec/run.ts";
