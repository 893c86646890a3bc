/** Waits for what must come true, however busy the machine; throws after `bound` milliseconds. */
export async function eventually(holds: () => boolean | Promise<boolean>, bound = 40_000): Promise<void> {
  for (const end = performance.now() + bound; !(await holds()); ) {
    if (performance.now() > end) throw new Error(`not within ${bound / 1000} s: ${holds}`);
    await Bun.sleep(10);
  }
}
