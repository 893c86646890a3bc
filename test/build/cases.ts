// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Output } from "../harness.ts";

/** A build as a user runs it: files in a directory, and more arguments for `docker build`. */
export interface Case {
  name: string;
  dockerfile: string;
  args?: string[];
  /** The image's files are compared, too. */
  tree?: boolean;
}

/** Files every case has beside its Dockerfile. A name with "->" is a link. */
const FILES: Record<string, string> = {
  f: "hi\n",
  "sub/g": "two\n",
  "sub/deep/h": "three\n",
  "ln -> f": "",
  "sub/out -> /etc/passwd": "",
  "name with space": "s",
  "x.txt": "x",
  "y.txt": "y",
  ignored: "never",
  ".dockerignore": "ignored\nsub/deep/*\n!sub/deep/h\n",
};

const BIG = `ARG BASE=busybox
ARG UNUSED
FROM \${BASE} AS first
ARG FOO=bar
ARG NOVAL
ENV A=1 B="two words"
ENV OLD old style value
LABEL x="y z" k=v
WORKDIR /w
COPY f f
COPY --chown=daemon sub /sub
COPY f ln sub /multi/
ADD f /added
RUN echo $FOO; echo out > /out
RUN true
RUN ["sh","-c","echo json"]
EXPOSE 80 443/udp
USER daemon
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --retries=3 CMD wget -q x
HEALTHCHECK --timeout=90s CMD ["a","b c"]
ONBUILD COPY f /triggered
SHELL ["/bin/sh","-e","-c"]
RUN id
VOLUME /data /more
MAINTAINER me <m@e>
CMD echo hi
CMD ["true", "x"]
ENTRYPOINT ["/bin/sh"]
ENTRYPOINT sh -x
FROM first
USER root
COPY --from=first /out /o2
COPY --from=0 /sub /sub2
`;

/** Dockerfiles whose whole outcome must be that of dockerd's classic builder. */
export const CASES: Case[] = [
  {
    name: "everything",
    dockerfile: BIG,
    args: ["--label", "z=1", "--label", "a=b c", "--build-arg", "NOTUSED=1"],
    tree: true,
  },
  {
    name: "build arguments",
    dockerfile: "FROM busybox\nARG A=1\nARG B\nENV C=$A-$B\nRUN echo $A $B $C",
    args: ["--build-arg", "B=2", "--build-arg", "A=3"],
  },
  {
    name: "modifiers",
    dockerfile:
      "FROM busybox\nARG F=a/b.tar.gz\nENV X=${F:-n} Y=${Z:-n} V=${F:+p} W=${Z:+p}\nLABEL l=\"$X $Y\" m='$X'\nWORKDIR /d/${V}",
  },
  {
    name: "copy into paths",
    dockerfile:
      'FROM busybox\nWORKDIR /w\nCOPY f .\nCOPY f ./a/b/\nCOPY f c/d\nCOPY sub e\nCOPY sub/ /abs/\nCOPY *.txt /t/\nCOPY ["name with space", "/n s/"]\nCOPY ln /ln\nCOPY . /all',
    tree: true,
  },
  {
    name: "copy over things",
    dockerfile:
      "FROM busybox\nRUN mkdir -p /d/sub/deep /e/f && ln -s /d /ld && chmod 700 /d\nCOPY sub /ld/sub\nCOPY f /e\nCOPY f /ld/",
    tree: true,
  },
  {
    name: "owners",
    dockerfile:
      "FROM busybox\nCOPY --chown=1:2 sub /a\nCOPY --chown=daemon f /n/e/w/f\nADD --chown=3 f /b\nUSER 5\nCOPY f /u\nWORKDIR /uw",
    tree: true,
  },
  {
    name: "workdirs",
    dockerfile: "FROM busybox\nWORKDIR rel\nWORKDIR ../x/y\nRUN pwd\nWORKDIR /\nWORKDIR /x/y",
    tree: true,
  },
  { name: "scratch", dockerfile: "FROM scratch\nCOPY f /\nENV A=b\nCOPY sub /s", tree: true },
  {
    name: "target",
    dockerfile: "FROM busybox AS one\nENV ONE=1\nFROM one AS two\nENV TWO=2\n",
    args: ["--target", "one"],
  },
  { name: "no rm", dockerfile: "FROM busybox\nENV A=1\nRUN true", args: ["--rm=false"] },
  { name: "quiet failure", dockerfile: "FROM busybox\nRUN echo said; exit 3", args: ["-q"] },
  { name: "escape", dockerfile: "# escape=`\nFROM busybox\nENV A=C:\\dir `\n  B=x\nRUN echo one && `\n  echo two" },
  { name: "exit code", dockerfile: "FROM busybox\nRUN exit 42" },
  { name: "exit code, force-rm", dockerfile: "FROM busybox\nRUN exit 42", args: ["--force-rm"] },
  { name: "unknown user", dockerfile: "FROM busybox\nUSER nosuch\nRUN true" },
  { name: "unknown instruction", dockerfile: "FROM busybox\nFOO x\n" },
  { name: "typing error", dockerfile: "FRMO busybox\n" },
  { name: "env without value", dockerfile: "FROM busybox\nENV a\n" },
  { name: "comments only", dockerfile: "# only\n" },
  { name: "unknown flag", dockerfile: "FROM busybox\nCOPY --form=x a b\n" },
  { name: "unknown target", dockerfile: "FROM busybox AS a\n", args: ["--target", "zz"] },
  { name: "only scratch", dockerfile: "FROM scratch\n" },
  { name: "missing file", dockerfile: "FROM busybox\nRUN echo before\nCOPY nope /x\n" },
  { name: "ignored file", dockerfile: "FROM busybox\nCOPY ignored /x\n" },
  { name: "outside", dockerfile: "FROM busybox\nCOPY ../nope /x\n" },
  { name: "no match", dockerfile: "FROM busybox\nCOPY no* /x/\n" },
  { name: "several into a file", dockerfile: "FROM busybox\nCOPY f sub /x\n" },
  { name: "missing in image", dockerfile: "FROM busybox\nCOPY --from=busybox /nope /b\n" },
  { name: "unknown owner", dockerfile: "FROM busybox\nCOPY --chown=nosuch f /x\n" },
  { name: "required variable", dockerfile: "FROM busybox\nARG X\nRUN true\nLABEL q=${X:?need}\n" },
  { name: "bad port", dockerfile: "FROM busybox\nEXPOSE 80/what\n" },
  { name: "bad signal", dockerfile: "FROM busybox\nSTOPSIGNAL SIGWHAT\n" },
  { name: "bad platform", dockerfile: "FROM --platform=a/b/c/d busybox\n" },
  { name: "blank base", dockerfile: "ARG X\nFROM $X\n" },
  { name: "own stage", dockerfile: "FROM busybox\nCOPY --from=0 /a /b\n" },
  { name: "empty continuation", dockerfile: "FROM busybox\nRUN echo a \\\n\n  b\n" },
];

/** The case's directory, for `docker build`. */
export function contextOf({ dockerfile }: Case): { directory: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), "gantry-build-"));
  for (const [name, content] of Object.entries(FILES)) {
    const [path = "", target] = name.split(" -> ");
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    if (target !== undefined) symlinkSync(target, join(directory, path));
    else writeFileSync(join(directory, path), content);
  }
  writeFileSync(join(directory, "Dockerfile"), dockerfile);
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Runs the real docker CLI without BuildKit. */
export async function docker(host: string, ...args: string[]): Promise<Output> {
  const child = Bun.spawn(["docker", ...args], {
    env: { ...process.env, DOCKER_HOST: host, DOCKER_BUILDKIT: "0" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Output with everything that differs from run to run taken out. */
export function comparable(text: string): string {
  return text
    .replace(/^DEPRECATED: The legacy builder[\s\S]*?\n\n/m, "")
    .replace(/sha256:[0-9a-f]{64}/g, "<ID>")
    .replace(/\b[0-9a-f]{12}\b/g, "<id>")
    .replace(/[0-9.]+kB/g, "<size>");
}

/** What must be equal of two images. */
export async function imageOf(host: string, name: string): Promise<unknown> {
  const inspect = JSON.parse((await docker(host, "image", "inspect", name)).stdout)[0] as {
    Config: Record<string, unknown>;
    Architecture: string;
    Os: string;
    Author: string;
    RootFS: { Layers: string[] };
  };
  const history = await docker(
    host,
    "history",
    "--no-trunc",
    "--format",
    "{{.CreatedBy}}|{{.Comment}}|{{.Size}}",
    name,
  );
  // Docker's full form also names what is not set.
  const config = Object.entries(inspect.Config).filter(
    ([key, value]) =>
      value !== null && value !== "" && value !== false && !["Hostname", "Image"].includes(key) && !isEmpty(value),
  );
  return {
    config: Object.fromEntries(config.sort(([a], [b]) => (a < b ? -1 : 1))),
    architecture: inspect.Architecture,
    os: inspect.Os,
    author: inspect.Author,
    layers: inspect.RootFS.Layers.length,
    history: history.stdout.split("\n"),
  };
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** Every file of the image with type, mode, owner, size and link, but those an engine puts in each container. */
export async function treeOf(host: string, name: string): Promise<string[]> {
  const created = await docker(host, "create", name, "x");
  const id = created.stdout.trim();
  if (created.code !== 0) throw new Error(created.stderr);
  try {
    const child = Bun.spawn(["sh", "-c", `docker export ${id} | tar -tvf - --numeric-owner`], {
      env: { ...process.env, DOCKER_HOST: host },
      stdout: "pipe",
    });
    const lines = (await new Response(child.stdout).text()).split("\n").filter(Boolean);
    return lines
      .map((line) => line.replace(/\s+/g, " ").replace(/ \d{4}-\d\d-\d\d \d\d:\d\d /, " "))
      .filter(
        (line) =>
          !/ (?:\.dockerenv|dev\/.*|proc\/.*|sys\/.*|etc\/(?:hosts|hostname|resolv\.conf|mtab.*)|\.\/)$/.test(line),
      )
      .sort();
  } finally {
    await docker(host, "rm", "-f", id);
  }
}
