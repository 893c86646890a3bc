/**
 * Where a worker's file is: in the source tree, or inside the compiled executable (scripts/build.ts puts every
 * `worker.ts` and `*-worker.ts` in as an entry of its own).
 *
 * @param path from the root of the repository, such as "packages/network/dns/worker.ts"
 */
export function workerUrl(path: string): string {
  if (import.meta.url.includes("/$bunfs/")) return `/$bunfs/root/${path.replace(/\.ts$/, ".js")}`;
  return new URL(`../../${path}`, import.meta.url).href;
}
