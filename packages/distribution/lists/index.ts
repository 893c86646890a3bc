/** Manifest lists made and pushed from the client's side, without an engine (`manifest inspect`, `create`, `push`). */
export { type ListClient, openListClient, type PushedEntry, type ResolvedEntry } from "./client.ts";
export { type ListEntry, ListFiles } from "./files.ts";
