/** Waits for what must come true, however busy the machine; throws after forty seconds. */
export async function until(what: () => boolean): Promise<void> {
  for (const end = performance.now() + 40_000; !what(); await Bun.sleep(5))
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
}
