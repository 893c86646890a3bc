/** Waits for what must come true, however busy the machine; throws after thirty seconds. */
export async function eventually(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 30_000; !holds(); ) {
    if (performance.now() > end) throw new Error(`not within 30 s: ${holds}`);
    await Bun.sleep(10);
  }
}
