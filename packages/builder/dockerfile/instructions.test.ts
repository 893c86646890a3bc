import { describe, expect, test } from "bun:test";
import { formatDuration, parseDuration } from "./duration.ts";
import { parseMount } from "./mounts.ts";
import { parseFile } from "./parser.ts";
import { findStage, parseStages } from "./stages.ts";

const stages = (text: string) => parseStages(parseFile(text).nodes);
const command = (text: string) => stages(`FROM a\n${text}`).stages[0]!.commands[0]!;

describe("instructions", () => {
  test.each([
    ["FRMO a", "dockerfile parse error on line 1: unknown instruction: FRMO (did you mean FROM?)"],
    ["FROM a\nxyzzy b", "dockerfile parse error on line 2: unknown instruction: xyzzy"],
    ["FROM a b", "FROM requires either one or three arguments"],
    ["FROM a AS 1b", 'invalid name for build stage: "1b", name can\'t start with a number or contain symbols'],
    ["RUN a", "no build stage in current context"],
    [
      "FROM a\nCOPY b",
      "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
    ],
    ["FROM a\nCOPY --form=x a b", "unknown flag: --form (did you mean from?)"],
    ["FROM a\nCOPY --from a b", "missing a value on flag: --from"],
    ["FROM a\nCOPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"],
    ["FROM a\nCOPY --chown=a --chown=b c d", "duplicate flag specified: --chown"],
    ["FROM a\nCOPY a <<B\nx\nB", "COPY cannot accept a heredoc as a destination"],
    ["FROM a\nARG", "ARG requires at least one argument"],
    ["FROM a\nARG =b", "ARG names can not be blank"],
    ["FROM a\nENV =b", "ENV names can not be blank"],
    ["FROM a\nENV", "ENV requires at least one argument"],
    ["FROM a\nSHELL sh", "SHELL requires the arguments to be in JSON form"],
    ["FROM a\nUSER", "USER requires exactly one argument"],
    ['FROM a\nVOLUME [""]', "VOLUME specified can not be an empty string"],
    ["FROM a\nHEALTHCHECK", "HEALTHCHECK requires at least one argument"],
    ["FROM a\nHEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"],
    ["FROM a\nHEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"],
    ["FROM a\nHEALTHCHECK TRY x", 'Unknown type "TRY" in HEALTHCHECK (try CMD)'],
    ["FROM a\nHEALTHCHECK --interval=1 CMD x", 'time: missing unit in duration "1"'],
    ["FROM a\nHEALTHCHECK --timeout=1us CMD x", 'Interval "timeout" cannot be less than 1ms'],
    ["FROM a\nHEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"],
    ["FROM a\nONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ["FROM a\nONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"],
    ["FROM a\nRUN --network=x y", 'unsupported network mode "x"'],
    [
      "FROM a\nRUN --mount=type=bind,from=$A true",
      "'from' doesn't support variable expansion, define alias stage instead",
    ],
  ])("%j: %s", (text, message) => {
    expect(() => stages(text)).toThrow(message);
  });

  test("HEALTHCHECK", () => {
    expect(command("HEALTHCHECK --interval=1m30s --retries=3 CMD a b")).toMatchObject({
      health: { Test: ["CMD-SHELL", "a b"], Interval: 90e9, Retries: 3 },
    });
    expect(command('healthcheck cmd ["a", "b"]')).toMatchObject({ health: { Test: ["CMD", "a", "b"] } });
  });

  test("COPY with a heredoc", () => {
    expect(command("COPY --chmod=755 a <<-'X' /d/\n\tone\n\tX")).toMatchObject({
      sources: ["a"],
      inline: [{ name: "X", content: "one\n", expand: false }],
      dest: "/d/",
      chmod: "755",
    });
  });

  test("ONBUILD keeps its heredoc", () => {
    expect(command("ONBUILD RUN <<X\nhi\nX")).toMatchObject({ expression: "RUN <<X\nhi\nX" });
  });

  test("stages by name and number", () => {
    const { metaArgs, stages: all } = stages("ARG A=1 B\nFROM a AS One\nFROM b\nRUN x");
    expect(metaArgs[0]!.args).toEqual([{ key: "A", value: "1" }, { key: "B" }]);
    expect(findStage(all, "ONE")?.index).toBe(0);
    expect(findStage(all, "1")?.index).toBe(1);
    expect(findStage(all, "2")).toBeUndefined();
  });
});

describe("--mount", () => {
  const mount = (text: string) => parseMount(text, (word) => word.replace("$T", "/t"));
  test("types and defaults", () => {
    expect(mount("target=/a")).toMatchObject({ type: "bind", target: "/a", readonly: true });
    expect(mount("type=cache,dst=$T,id=x,sharing=locked")).toMatchObject({
      target: "/t",
      id: "x",
      sharing: "locked",
      readonly: false,
    });
    expect(mount("type=tmpfs,target=/a,size=1.5m")).toMatchObject({ size: 1572864 });
    expect(mount('type=secret,id=a,required,mode=0440,"target=/a,b"')).toMatchObject({
      required: true,
      mode: 0o440,
      target: "/a,b",
    });
    expect(mount("type=bind,target=/a,rw")).toMatchObject({ readonly: false });
  });
  test.each([
    ["type=bnd,target=/a", 'unsupported mount type "bnd" (did you mean bind?)'],
    ["type=bind,targt=/a", "unexpected key 'targt' in 'targt=/a' (did you mean target?)"],
    ["type=bind,target", "invalid field 'target' must be a key=value pair"],
    ["type=bind,size=1", "unexpected key 'size' for mount type 'bind'"],
    ["type=bind,target=/a,uid=1", 'uid not allowed for "bind" type mounts'],
    ["type=secret,id=a,source=b", "both source and id can't be set"],
    ["type=secret", "invalid secret mount. one of source, target required"],
    ["type=bind,target=/a,sharing=shared", "invalid cache sharing set for bind mount"],
    ["type=cache,sharing=mine", 'unsupported sharing value "mine"'],
    ["type=cache,mode=9", "invalid value 9 for mode"],
    ['type="bind', "failed to parse csv mounts"],
  ])("%s: %s", (text, message) => {
    expect(() => mount(text)).toThrow(message);
  });
});

test("durations", () => {
  expect(["1h", "1m30s", "1.5s", "100ms", "0", "-2s"].map(parseDuration)).toEqual([3600e9, 90e9, 1.5e9, 1e8, 0, -2e9]);
  expect([0, 1.5e9, 90e9, 3600e9, 1e8, 3661e9].map(formatDuration)).toEqual([
    "0s",
    "1.5s",
    "1m30s",
    "1h0m0s",
    "100ms",
    "1h1m1s",
  ]);
  for (const bad of ["", "s", "1x", "1", "1 s"]) expect(() => parseDuration(bad)).toThrow("time:");
});
