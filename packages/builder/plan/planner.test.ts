// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import { describe, expect, test } from "bun:test";
import type { ImageRunConfig } from "@gantry/spec";
import { parseFile } from "../dockerfile/parser.ts";
import { Plan, type PlanOptions } from "./planner.ts";
import type { BaseImage, PlannedStage } from "./step.ts";
import type { CopyOp, ExecOp } from "./vertex.ts";

const IMAGES: Record<string, ImageRunConfig> = {
  base: {
    Env: ["PATH=/bin", "FROMBASE=1"],
    Cmd: ["sh"],
    WorkingDir: "/b",
    Healthcheck: { Test: ["CMD", "x"], Interval: 5e9 },
  },
  triggers: { OnBuild: ["RUN first", "COPY a b"] },
};

function plan(text: string, options: Partial<PlanOptions> & { asked?: string[] } = {}): Plan {
  return Plan.create(parseFile(text), {
    target: "",
    buildArgs: {},
    labels: {},
    resolveImage: async (reference, platform): Promise<BaseImage> => {
      options.asked?.push(platform ? `${reference} ${platform.architecture}` : reference);
      return {
        id: `sha256:${reference.padEnd(64, "0")}`,
        layers: [],
        config: IMAGES[reference] ?? {},
        history: [],
        author: "",
        platform: { os: "linux", architecture: "amd64" },
      };
    },
    ...options,
  });
}

async function last(text: string, options: Parameters<typeof plan>[1] = {}): Promise<PlannedStage> {
  const made = plan(text, options);
  return made.stage(made.stages.at(-1)!);
}

const created = (stage: PlannedStage) => stage.steps.map((step) => step.createdBy("file:H"));
const exec = (stage: PlannedStage) => stage.result.op as ExecOp;

describe("stages", () => {
  const text =
    "FROM base AS a\nRUN a\nFROM base AS unused\nRUN u\nFROM a AS c\nCOPY --from=0 /x /y\nFROM base\nRUN --mount=from=c,target=/t z";
  test("only those the target needs", () => {
    expect(plan(text).stages.map((stage) => stage.name)).toEqual(["a", "c", ""]);
    expect(plan(text, { target: "unused" }).stages.map((stage) => stage.name)).toEqual(["unused"]);
    expect(plan(text, { target: "1" }).stages.map((stage) => stage.name)).toEqual(["unused"]);
    expect(plan(text).stepCount).toBe(6);
  });
  test("refused", () => {
    expect(() => plan(text, { target: "zz" })).toThrow('target stage "zz" could not be found');
    expect(() => plan("FROM a AS x\nFROM b AS X")).toThrow("x stage name already used");
    expect(last("FROM ${NO}")).rejects.toThrow("base name (${NO}) should not be blank");
    expect(last("FROM --platform=bogus/// base")).rejects.toThrow("failed to parse platform bogus///");
  });
  test("--from of this or a later stage", async () => {
    const [own] = (await last("FROM base AS a\nCOPY --from=0 x y")).steps;
    expect(own!.error?.message).toBe("invalid from flag value 0: refers to current build stage");
    const [later] = (await last("FROM base AS a\nCOPY --from=7 x y")).steps;
    expect(later!.error?.message).toBe("invalid from flag value 7: index out of bounds");
  });
  test("images are asked for once each and with their platform", async () => {
    const asked: string[] = [];
    await last("ARG P=linux/arm64\nFROM --platform=$P base\nCOPY --from=tool a b\nCOPY --from=tool c d", { asked });
    expect(asked).toEqual(["base arm64", "tool"]);
  });
});

describe("variables", () => {
  test("ARG, ENV and their order", async () => {
    const stage = await last("ARG V=1\nFROM base\nARG V\nARG W=$V-w\nENV E=${W}-e V=env\nENV F=$E$V\nRUN x", {
      buildArgs: { V: "given" },
    });
    expect(stage.config.Env).toEqual(["PATH=/bin", "FROMBASE=1", "E=given-w-e", "V=env", "F=given-w-eenv"]);
    expect(created(stage).at(-1)).toBe("|1 W=given-w /bin/sh -c x");
    expect(exec(stage).env).toEqual([...stage.config.Env!, "W=given-w"]);
  });
  test("a stage sees no other stage's, nor undeclared ones", async () => {
    const stage = await last("ARG G=g\nFROM base AS a\nARG S=s\nFROM base\nENV X=$G$S$FROMBASE");
    expect(stage.config.Env).toContain("X=1");
  });
  test("proxies reach RUN, but neither key nor history", async () => {
    const stage = await last("FROM base\nRUN x", { buildArgs: { HTTP_PROXY: "p", other: "o" } });
    expect(exec(stage).quietEnv).toEqual(["HTTP_PROXY=p"]);
    expect(created(stage)).toEqual(["/bin/sh -c x"]);
    expect(plan("FROM base", { buildArgs: { HTTP_PROXY: "p", b: "1", a: null } }).unusedArgs).toEqual(["a", "b"]);
  });
  test("platform arguments", async () => {
    const stage = await last(
      "FROM base\nARG TARGETARCH\nARG TARGETOS=plan9\nENV A=$TARGETARCH O=$TARGETOS B=$BUILDARCH",
      {
        platform: { os: "linux", architecture: "arm64" },
      },
    );
    expect(stage.config.Env!.slice(2)).toEqual(["A=arm64", "O=plan9", "B="]);
  });
  test("a wrong one fails its step, and nothing comes after it", async () => {
    const stage = await last("FROM base\nRUN a\nENV X=${Y:?needed}\nRUN b");
    expect(stage.steps.map((step) => step.error?.message)).toEqual([
      undefined,
      'failed to process "${Y:?needed}": Y: needed',
    ]);
  });
});

describe("configuration", () => {
  test("history as the classic builder writes it", async () => {
    const stage = await last(
      [
        "FROM base",
        'ENV A=1 B="x y"',
        "LABEL k='v w'",
        "WORKDIR sub",
        "COPY --chown=me a .",
        "ADD a b /c/",
        "EXPOSE 80 53/udp",
        "VOLUME /v /w",
        "USER me",
        "STOPSIGNAL 9",
        "HEALTHCHECK --timeout=90s CMD true",
        'SHELL ["/bin/sh", "-e"]',
        "ONBUILD RUN t",
        "MAINTAINER m",
        'CMD a "b"',
        'ENTRYPOINT ["e"]',
      ].join("\n"),
    );
    expect(created(stage)).toEqual([
      "/bin/sh -c #(nop)  ENV A=1 B=x y",
      "/bin/sh -c #(nop)  LABEL k=v w",
      "/bin/sh -c #(nop) WORKDIR /b/sub",
      "/bin/sh -c #(nop) COPY --chown=me file:H in . ",
      "/bin/sh -c #(nop) ADD file:H in /c/ ",
      "/bin/sh -c #(nop)  EXPOSE 53/udp 80",
      "/bin/sh -c #(nop)  VOLUME [/v /w]",
      "/bin/sh -c #(nop)  USER me",
      "/bin/sh -c #(nop)  STOPSIGNAL 9",
      "/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL true] 0s 1m30s 0s 0s 0}",
      "/bin/sh -e #(nop)  SHELL [/bin/sh -e]",
      "/bin/sh -e #(nop)  ONBUILD RUN t",
      "/bin/sh -e #(nop)  MAINTAINER m",
      '/bin/sh -e #(nop)  CMD ["/bin/sh" "-e" "a \\"b\\""]',
      '/bin/sh -e #(nop)  ENTRYPOINT ["e"]',
    ]);
    expect(stage.config).toEqual({
      Env: ["PATH=/bin", "FROMBASE=1", "A=1", "B=x y"],
      Cmd: ["/bin/sh", "-e", 'a "b"'],
      WorkingDir: "/b/sub",
      // What is not given is inherited.
      Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 5e9, Timeout: 90e9 },
      Labels: { k: "v w" },
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
      Volumes: { "/v": {}, "/w": {} },
      User: "me",
      StopSignal: "9",
      Shell: ["/bin/sh", "-e"],
      OnBuild: ["RUN t"],
      Entrypoint: ["e"],
    });
    expect((stage.steps[3]!.vertex.op as CopyOp).dest).toBe("/b/sub/");
    expect(stage.steps.at(-1)!.author).toBe("m");
  });
  test("an ENTRYPOINT takes the base's CMD away", async () => {
    expect((await last('FROM base\nENTRYPOINT ["e"]')).config.Cmd).toBeNull();
  });
  test("ONBUILD triggers come first", async () => {
    const stage = await last("FROM triggers\nRUN own");
    expect(stage.triggers).toBe(2);
    expect(stage.steps.map((step) => step.code)).toEqual(["", "", "RUN own"]);
    expect(stage.config.OnBuild).toBeUndefined();
  });
  test("labels of the build go on the target", async () => {
    const stage = await last("FROM base\nARG X=1", { labels: { z: "$X", a: "b c" } });
    expect(stage.config.Labels).toEqual({ a: "b c", z: "$X" });
  });
  test.each([
    ["EXPOSE 70000", "invalid containerPort: 70000"],
    ["EXPOSE 80/icmp", "Invalid proto: icmp"],
    ["STOPSIGNAL SIGWHAT", "invalid signal: SIGWHAT"],
    [
      "COPY a b c",
      "When using COPY with more than one source file, the destination must be a directory and end with a /",
    ],
    ["COPY http://x/y z", "COPY failed: source can't be a URL for COPY"],
  ])("%s: %s", async (line, message) => {
    expect((await last(`FROM base\n${line}`)).steps[0]!.error?.message).toBe(message);
  });
});

describe("RUN with heredocs", () => {
  test.each([
    ["RUN <<EOF\necho a\necho b\nEOF", ["/bin/sh", "-c", "echo a\necho b\n"]],
    ["RUN cat <<EOF > /x\nhi\nEOF", ["/bin/sh", "-c", "cat <<EOF > /x\nhi\nEOF"]],
    ["RUN <<-EOF\n\techo a\n\tEOF", ["/bin/sh", "-c", "echo a\n"]],
    ["RUN <<EOF\n#!/bin/x\nhi\nEOF", ["/bin/sh", "-c", "/dev/pipes/EOF"]],
  ])("%j", async (line, args) => {
    expect(exec(await last(`FROM base\n${line}`)).args).toEqual(args);
  });
});
