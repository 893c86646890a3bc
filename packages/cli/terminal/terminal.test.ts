import { describe, expect, test } from "bun:test";
import { DetachFilter, parseDetachKeys } from "./detach-keys.ts";
import { ProgressDisplay, progressText } from "./progress.ts";

const bytes = (...codes: number[]) => Uint8Array.from(codes);

describe("detach keys", () => {
  test("are read", () => {
    expect([...parseDetachKeys("")]).toEqual([16, 17]);
    expect([...parseDetachKeys("ctrl-a,x,DEL,ctrl-[")]).toEqual([1, 120, 127, 27]);
    for (const text of ["foo", "ctrl-", "ctrl-A", "ctrl-1", "a,"])
      expect(() => parseDetachKeys(text)).toThrow("Unknown character");
  });
  test("are found whole, in pieces, and after a false start", () => {
    const run = (...chunks: Uint8Array[]) => {
      const filter = new DetachFilter(bytes(16, 17));
      const passed = chunks.flatMap((chunk) => [...filter.feed(chunk)]);
      return { passed, detached: filter.detached };
    };
    expect(run(bytes(97, 16, 17, 98))).toEqual({ passed: [97], detached: true });
    expect(run(bytes(16), bytes(17))).toEqual({ passed: [], detached: true });
    expect(run(bytes(16), bytes(97))).toEqual({ passed: [16, 97], detached: false });
    expect(run(bytes(16, 16, 17))).toEqual({ passed: [16], detached: true });
    expect(run(bytes(17, 16))).toEqual({ passed: [17], detached: false });
  });
});

describe("progress", () => {
  const shown = (terminal: boolean, ...messages: Parameters<ProgressDisplay["show"]>[0][]) => {
    let text = "";
    const display = new ProgressDisplay((part) => {
      text += part;
    }, terminal);
    for (const message of messages) display.show(message);
    return text;
  };
  const layer = (id: string, status: string, current?: number, total?: number) => ({
    id,
    status,
    progressDetail: current === undefined ? {} : { current, total: total ?? 0 },
  });

  test("elsewhere than on a terminal: a line for each step, none for the bars", () => {
    expect(
      shown(
        false,
        { id: "latest", status: "Pulling from x" },
        layer("a", "Downloading", 1, 2),
        layer("a", "Pull complete"),
        { status: "Done" },
      ),
    ).toBe("latest: Pulling from x\na: Pull complete\nDone\n");
  });
  test("on a terminal: a line for each layer, drawn anew in its place", () => {
    expect(shown(true, layer("a", "Waiting"), layer("b", "Waiting"), layer("a", "Done"))).toBe(
      "\n\x1b[1A\x1b[2K\ra: Waiting \r\x1b[1B\n\x1b[1A\x1b[2K\rb: Waiting \r\x1b[1B\x1b[2A\x1b[2K\ra: Done \r\x1b[2B",
    );
  });
  test("bars", () => {
    expect(progressText({ current: 25, total: 100 }, 200)).toBe(`[${"=".repeat(12)}>${" ".repeat(38)}]      25B/100B`);
    expect(progressText({ current: 25, total: 100 }, 80)).toBe("     25B/100B");
    expect(progressText({ current: 200, total: 100 }, 80)).toBe("    200B");
    expect(progressText({ current: 1500 }, 80)).toBe("   1.5kB");
    expect(progressText({ current: 3, total: 5, units: "s" }, 80)).toBe("3/5 s");
    expect(progressText({}, 80)).toBe("");
  });
  test("errors end it", () => {
    expect(() => shown(false, { error: "bad", errorDetail: { message: "worse" } })).toThrow("worse");
  });
});
