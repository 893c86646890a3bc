import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { Fixture, tar } from "./testing/fixture.ts";

const f = process.getuid?.() === 0 ? await Fixture.open() : null;
if (!f) console.warn("builder.test.ts: skipped, it needs root and a static busybox");
const fixture = f as Fixture;

beforeAll(() => {
  if (f) process.umask(0o022);
});
afterAll(() => f?.close());

/** The last lines a build's RUN printed, without the builder's own. */
const said = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "" && !/^(Step | ---> |Successfully )/.test(line))
    .join("\n");

describe.skipIf(!f)("steps", () => {
  test("a build, and the same again from the cache", async () => {
    const dockerfile = "FROM busybox\nENV A=1\nWORKDIR /w\nCOPY f f\nRUN cat f > g && id -u\nRUN true\nCMD x";
    const first = await fixture.build(dockerfile, { f: "hi" }, { tags: ["one", "two:v2"] });
    expect(first.error).toBeNull();
    expect(said(first.text)).toBe("0");
    expect(first.text).toContain("Successfully tagged one:latest\nSuccessfully tagged two:v2\n");
    expect(await fixture.read(first.id!, "w/g")).toBe("hi");
    const { history, rootfs } = fixture.config(first.id!);
    expect(history!.slice(1).map((entry) => entry.empty_layer ?? false)).toEqual([
      true,
      false,
      false,
      false,
      true,
      true,
    ]);
    expect(rootfs.diff_ids.length).toBe(4);
    const again = await fixture.build(dockerfile, { f: "hi" });
    expect(again.id).toBe(first.id);
    expect(again.text.match(/Using cache/g)!.length).toBe(6);
    expect(fixture.leftovers()).toEqual([]);
  });

  test("what changes, and only what follows it, is done again", async () => {
    const dockerfile = "FROM busybox\nRUN echo one > /1\nCOPY f /\nRUN cat /f\nARG V\nRUN echo $V";
    await fixture.build(dockerfile, { f: "a" }, { buildArgs: { V: "1" } });
    const other = await fixture.build(dockerfile, { f: "b" }, { buildArgs: { V: "1" } });
    expect(other.text.match(/Using cache/g)!.length).toBe(1);
    const args = await fixture.build(dockerfile, { f: "b" }, { buildArgs: { V: "2" } });
    expect(args.text.match(/Using cache/g)!.length).toBe(4);
    const none = await fixture.build(dockerfile, { f: "b" }, { buildArgs: { V: "2" }, noCache: true });
    expect(none.text).not.toContain("Using cache");
  });

  test("times of files do not count, modes do", async () => {
    const dockerfile = "FROM busybox\nCOPY t /t";
    const make = (mtime: number, mode: number) =>
      fixture.buildTar(
        tar([
          { name: "Dockerfile", type: "file", content: dockerfile },
          { name: "t", type: "file", content: "x", mtime, mode },
        ]),
      );
    await make(1, 0o644);
    expect((await make(2, 0o644)).text).toContain("Using cache");
    expect((await make(2, 0o755)).text).not.toContain("Using cache");
  });

  test("metadata in between does not spoil what follows", async () => {
    await fixture.build("FROM busybox\nLABEL v=1\nRUN echo kept > /kept");
    const other = await fixture.build("FROM busybox\nLABEL v=2\nRUN echo kept > /kept");
    expect(other.text.match(/Using cache/g)!.length).toBe(1);
    expect(fixture.config(other.id!).config!.Labels).toEqual({ v: "2" });
  });

  test("a failing command", async () => {
    const { error, text } = await fixture.build("FROM busybox\nRUN echo out; echo err >&2; exit 7\nRUN never");
    expect(error).toMatchObject({
      message: "The command '/bin/sh -c echo out; echo err >&2; exit 7' returned a non-zero code: 7",
      code: 7,
    });
    expect(text).toContain("out\n");
    expect(text).toContain("\x1b[91merr\n\x1b[0m");
    expect(text).not.toContain("Removed intermediate");
    expect(text).not.toContain("never");
    expect(fixture.leftovers()).toEqual([]);
    const forced = await fixture.build("FROM busybox\nRUN exit 8", {}, { forceRemove: true });
    expect(forced.text).toContain("Removed intermediate container");
  });

  test("a command that cannot be started", async () => {
    const { error } = await fixture.build('FROM busybox\nRUN ["/nope", "x"]');
    expect(error?.message).toContain('"/nope"');
    expect((await fixture.build("FROM busybox\nUSER nobodyhere\nRUN true")).error?.message).toBe(
      "unable to find user nobodyhere: no matching entries in passwd file",
    );
    expect(fixture.leftovers()).toEqual([]);
  });

  test("users, groups, home, workdir", async () => {
    const { text } = await fixture.build(
      "FROM busybox\nUSER daemon\nWORKDIR /x/y\nRUN id; echo $HOME; pwd; stat -c %u .",
      {},
      { noCache: true },
    );
    expect(said(text)).toBe("uid=1(daemon) gid=1(daemon) groups=1(daemon),50(staff)\n/usr/sbin\n/x/y\n0");
  });

  test("a step is confined as a container is by default", async () => {
    const { text } = await fixture.build(
      "FROM busybox\nRUN grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs x /tmp 2>&1 | head -1; cat /proc/keys | wc -c",
      {},
      { noCache: true },
    );
    expect(said(text)).toContain("CapEff:\t00000000a80425fb\nSeccomp:\t2\nmount: permission denied (are you root?)\n0");
  });

  test("two builds that need the same step do it once", async () => {
    const dockerfile = "FROM busybox\nRUN sleep 0.4; cat /proc/sys/kernel/random/uuid > /once";
    const [a, b] = await Promise.all([fixture.build(dockerfile), fixture.build(dockerfile)]);
    expect(a.id).toBe(b.id);
    expect([a, b].filter(({ text }) => text.includes("Using cache")).length).toBe(1);
    const failing = "FROM busybox\nRUN sleep 0.2; exit 9";
    const both = await Promise.all([fixture.build(failing), fixture.build(failing)]);
    expect(both.map(({ error }) => (error as { code?: number } | null)?.code)).toEqual([9, 9]);
  });

  test("all images and caches removed at any moment do not end it", async () => {
    const dockerfile = "FROM base\nCOPY f /f\nLABEL a=b\nRUN cat /f > /g\nLABEL c=d";
    const { images, collect } = fixture.storage;
    for (const round of ["anew", "from the cache"]) {
      const base = await fixture.build("FROM busybox\nLABEL base=1");
      images.tag(base.id!, "base");
      const removeAll = async ({ stream }: Record<string, unknown>) => {
        if (String(stream).startsWith("Successfully")) return;
        for (const { id, tags } of images.list()) if (!tags.includes("busybox:latest")) images.delete(id);
        if (round === "from the cache") await fixture.builder.prune({ all: true, keep: 0 });
        await collect();
      };
      if (round === "from the cache") await fixture.build(dockerfile, { f: "hi" });
      const { id, error } = await fixture.build(dockerfile, { f: "hi" }, { tags: ["kept"], meanwhile: removeAll });
      expect(error).toBeNull();
      expect(images.resolve("kept").id).toBe(id!);
      expect(await fixture.read(id!, "g")).toBe("hi");
      images.delete(id!);
    }
  });

  test("stop in the middle", async () => {
    const controller = new AbortController();
    const running = fixture.build("FROM busybox\nRUN sleep 600", {}, { signal: controller.signal });
    await Bun.sleep(300);
    controller.abort();
    expect((await running).error?.message).toBe("Build cancelled");
    expect(fixture.leftovers()).toEqual([]);
  });
});

describe.skipIf(!f)("stages", () => {
  test("run at the same time, are shown in order, and unused ones not at all", async () => {
    const dockerfile =
      ["a", "b"]
        .map(
          (name) =>
            `FROM busybox AS ${name}\nRUN --mount=type=cache,target=/both touch /both/${name}; until test -e /both/a -a -e /both/b; do usleep 20000; done; echo met > /${name}\n`,
        )
        .join("") +
      "FROM busybox AS no\nRUN exit 1\nFROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\nRUN cat /a /b";
    const { text, error } = await fixture.build(dockerfile, {}, { noCache: true });
    expect(error).toBeNull();
    expect(said(text)).toBe("met\nmet");
    expect(text).toContain("Step 8/8 : RUN cat /a /b");
  });
  test("one that fails ends the others", async () => {
    const { error, text } = await fixture.build(
      "FROM busybox AS a\nRUN sleep 600\nFROM busybox AS b\nRUN echo soon; exit 3\nFROM busybox\nCOPY --from=a / /a\nCOPY --from=b / /b",
    );
    expect(error).toMatchObject({ code: 3 });
    expect(text).toContain("Step 4/7 : RUN echo soon; exit 3\n");
    expect(text).toContain("soon\n");
    expect(fixture.leftovers()).toEqual([]);
  });
  test("targets", async () => {
    const dockerfile = "FROM busybox AS a\nRUN echo a > /a\nFROM a AS b\nRUN echo b > /b";
    const { id } = await fixture.build(dockerfile, {}, { target: "a" });
    expect(fixture.config(id!).rootfs.diff_ids.length).toBe(2);
  });
  test("ONBUILD", async () => {
    await fixture.build("FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f", { f: "x" }, { tags: ["trigger"] });
    const { text, id } = await fixture.build("FROM trigger\nRUN echo own", { f: "triggered\n" });
    expect(text).toContain("# Executing 2 build triggers\n");
    expect(said(text)).toContain("triggered");
    expect(fixture.config(id!).config!.OnBuild).toBeUndefined();
  });
  test("from scratch", async () => {
    const { id } = await fixture.build("FROM scratch\nCOPY f /", { f: "only" });
    expect(await fixture.read(id!, "f")).toBe("only");
    expect((await fixture.build("FROM scratch")).error?.message).toBe(
      "No image was generated. Is your Dockerfile empty?",
    );
  });
});

describe.skipIf(!f)("COPY", () => {
  const listing = "RUN cd /d && find . | sort | xargs stat -c '%n %a %u:%g %F'";
  const copy = async (lines: string, files: Record<string, string | Uint8Array>) =>
    said((await fixture.build(`FROM busybox\n${lines}`, files, { noCache: true })).text);

  test("directories give their content", async () => {
    expect(await copy(`COPY src /d\n${listing}`, { "src/": "", "src/a": "1", "src/sub/": "", "src/sub/b": "2" })).toBe(
      [
        ". 755 0:0 directory",
        "./a 644 0:0 regular file",
        "./sub 755 0:0 directory",
        "./sub/b 644 0:0 regular file",
      ].join("\n"),
    );
  });
  test("owner, mode, wildcards, excludes, parents", async () => {
    expect(
      await copy(
        `COPY --chown=daemon:staff --chmod=u=rwX,go= x/*.txt /d/\nCOPY --exclude=*.md --exclude=sub x /d/x\nCOPY --parents x/./sub/*.md y /d/p/\n${listing}`,
        { "x/a.txt": "1", "x/b.txt": "2", "x/c.md": "3", "x/sub/d.md": "4", y: "5" },
      ),
    ).toBe(
      [
        ". 755 1:50 directory",
        "./a.txt 600 1:50 regular file",
        "./b.txt 600 1:50 regular file",
        "./p 755 0:0 directory",
        "./p/sub 755 0:0 directory",
        "./p/sub/d.md 644 0:0 regular file",
        "./p/y 644 0:0 regular file",
        "./x 755 0:0 directory",
        "./x/a.txt 644 0:0 regular file",
        "./x/b.txt 644 0:0 regular file",
      ].join("\n"),
    );
  });
  test("links in the image are followed, and directories keep what they are", async () => {
    expect(
      await copy(
        "RUN mkdir -m 711 /real && chown 5:6 /real && ln -s real /link && ln -s /real/target /file\nCOPY f /link/\nCOPY f /lib/libf\nCOPY f /file\nRUN stat -c '%n %a %u' /real; ls /real /usr/lib; readlink /lib; readlink /file",
        { f: "x" },
      ),
    ).toBe("/real 711 5\n/real:\nf\ntarget\n\n/usr/lib:\nlibf\nusr/lib\n/real/target".replace("\n\n", "\n"));
  });
  test("files take the place of directories and the other way round", async () => {
    expect(
      await copy("RUN mkdir -p /d/x && touch /d/x/in /d/y\nCOPY src /d/\nRUN ls -R /d", {
        "src/x": "file",
        "src/y/": "",
        "src/y/new": "n",
      }),
    ).toBe("/d:\nx\ny\n/d/y:\nnew");
  });
  test("from an image and a stage: owners stay", async () => {
    expect(
      await copy(
        "RUN mkdir /s && echo a > /s/a && chown 7:8 /s/a && chmod 4755 /s/a && ln /s/a /s/b && ln -s a /s/l\nCOPY --from=busybox /etc/group /d/\nRUN cat /d/group | head -1",
        {},
      ),
    ).toBe("root:x:0:");
    const text = await copy(
      "RUN true\n".replace("RUN true\n", "") +
        "RUN true\nFROM busybox AS s\nRUN mkdir /s && echo a > /s/a && chown 7:8 /s/a && chmod 4755 /s/a && ln /s/a /s/b && ln -s a /s/l && mknod /s/p p\nFROM busybox\nCOPY --from=s /s /d\nRUN cd /d && stat -c '%n %a %u:%g %h %F' *; readlink l",
      {},
    );
    expect(text).toBe(
      "a 4755 7:8 2 regular file\nb 4755 7:8 2 regular file\nl 777 0:0 1 symbolic link\np 644 0:0 1 fifo\na",
    );
  });
  test("the same file in two layers", async () => {
    expect(await copy("COPY f /1\nCOPY --chown=3 f /2\nRUN stat -c '%u %a' /1 /2; cat /1 /2", { f: "x\n" })).toBe(
      "0 644\n3 644\nx\nx",
    );
  });
  test("--link stands apart from what is below", async () => {
    const first = await fixture.build("FROM busybox\nRUN echo 1 > /one\nCOPY --link f /d/f", { f: "linked" });
    const second = await fixture.build("FROM busybox\nRUN echo 2 > /two\nCOPY --link f /d/f", { f: "linked" });
    expect(second.text.match(/Using cache/g)!.length).toBe(1);
    expect(fixture.config(first.id!).rootfs.diff_ids.at(-1)).toBe(fixture.config(second.id!).rootfs.diff_ids.at(-1)!);
    expect(await fixture.read(second.id!, "d/f")).toBe("linked");
  });
  test("inline files", async () => {
    expect(
      await copy(
        "ENV W=world\nCOPY <<A <<'B' /d/\nhello $W\nA\n$W\nB\nCOPY --chmod=700 <<X /d/x\n1\nX\nRUN cat /d/A /d/B; stat -c %a /d/x",
        {},
      ),
    ).toBe("hello world\n$W\n700");
  });
  test("archives are unpacked by ADD only", async () => {
    const archive = tar([
      { name: "in/", type: "dir", mode: 0o750, uid: 9 },
      { name: "in/f", type: "file", content: "packed\n", uid: 9 },
      { name: "lib/x", type: "file", content: "" },
    ]);
    expect(
      await copy(
        "ADD a.tar.gz /d/\nADD a.tar /\nCOPY a.tar /d/\nADD plain /d/\nRUN cd /d; stat -c '%n %a %u' in in/f a.tar plain; cat in/f; ls /usr/lib; readlink /lib",
        {
          "a.tar": archive,
          "a.tar.gz": gzipSync(archive),
          plain: "no archive",
        },
      ),
    ).toBe("in 750 9\nin/f 644 9\na.tar 644 0\nplain 644 0\npacked\nx\nusr/lib");
  });
  test.each([
    [
      "COPY nope /",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
    ],
    ["COPY ../x /", "COPY failed: forbidden path outside the build context: ../x ()"],
    ["COPY no* /", "COPY failed: no source files were specified"],
    ["COPY --from=busybox /nope /", "COPY failed: stat nope: file does not exist"],
    [
      "COPY f* /d",
      "When using COPY with more than one source file, the destination must be a directory and end with a /",
    ],
    [
      "COPY --chown=nobodyhere f /",
      "unable to convert uid/gid chown string to host mapping: can't find uid for user nobodyhere: no such user: nobodyhere",
    ],
    ["COPY --chmod=999 f /", "invalid chmod parameter: '999'. it should be octal string and between 0 and 07777"],
    ["COPY [ /", "COPY failed: syntax error in pattern"],
    ["COPY f /etc/passwd/x", "cannot create directory /etc/passwd: not a directory"],
    ["WORKDIR /etc/passwd", "Cannot mkdir: /etc/passwd is not a directory"],
  ])("%s: %s", async (line, message) => {
    const { error } = await fixture.build(`FROM busybox\n${line}`, { f: "1", f2: "2" });
    expect(error?.message).toBe(message);
    expect(fixture.leftovers()).toEqual([]);
  });
});

describe.skipIf(!f)("RUN --mount", () => {
  const run = async (lines: string, options: Parameters<Fixture["build"]>[2] = {}, files = {}) => {
    const outcome = await fixture.build(`FROM busybox\n${lines}`, files, { noCache: true, ...options });
    if (outcome.error) throw outcome.error;
    return said(outcome.text);
  };

  test("cache: kept between builds, not in the image", async () => {
    const lines =
      "RUN --mount=type=cache,target=/c/deep,id=t1 ls /c/deep; echo $$ > /c/deep/f\nRUN ls -d /c /c/deep 2>&1 || true";
    expect(await run(lines)).toBe("ls: /c: No such file or directory\nls: /c/deep: No such file or directory");
    expect((await run(lines)).split("\n")[0]).toBe("f");
    const record = (await fixture.builder.usage()).find(({ description }) => description === "cached mount t1");
    expect(record).toMatchObject({ type: "exec.cachemount", usageCount: 2 });
  });
  test("cache: locked ones wait", async () => {
    const line = (n: number) =>
      run(
        `RUN --mount=type=cache,target=/c,id=t2,sharing=locked echo ${n} >> /c/log; sleep 0.3; echo ${n} >> /c/log; cat /c/log`,
      );
    const [a, b] = await Promise.all([line(1), line(2)]);
    expect([a!.length, b!.length].sort()).toEqual([3, 7]);
  });
  test("cache: seeded from a stage", async () => {
    expect(
      await run(
        "RUN mkdir /s && echo seed > /s/f\nFROM busybox\nRUN --mount=type=cache,target=/c,id=t3,from=busybox,source=/etc,uid=5,mode=0700 stat -c '%a %u' /c; ls /c",
      ),
    ).toBe("700 5\ngroup\npasswd");
  });
  test("bind: the context, a part of it, a stage; writes are thrown away", async () => {
    expect(
      await run(
        "RUN --mount=target=/ctx cat /ctx/sub/f; touch /ctx/x 2>&1 | sed 's/.*: //'",
        {},
        { "sub/f": "deep\n" },
      ),
    ).toBe("deep\nRead-only file system");
    expect(
      await run(
        "RUN --mount=source=sub,target=/s,rw cat /s/f; echo new > /s/f; cat /s/f\nRUN --mount=source=sub,target=/s cat /s/f; ls -d /s\nRUN ls -d /s 2>&1 || true",
        {},
        { "sub/f": "old\n" },
      ),
    ).toBe("old\nnew\nold\n/s\nls: /s: No such file or directory");
    expect(
      await run(
        "RUN true\nFROM busybox AS s\nRUN echo 1 > /one\nRUN echo 2 > /two\nFROM busybox\nRUN --mount=from=s,target=/s cat /s/one /s/two; cat /s/etc/group | head -1",
      ),
    ).toBe("1\n2\nroot:x:0:");
  });
  test("tmpfs", async () => {
    expect(
      await run("RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1 | awk '{print $1, $2}'; touch /t/x"),
    ).toBe("tmpfs 1024");
  });
  test("secrets and agents", async () => {
    const options = {
      run: {
        ...settings,
        secrets: {
          secret: async (id: string) => (id === "key" ? new TextEncoder().encode("s3cret") : null),
          sshAgent: async () => null,
        },
      },
    };
    expect(
      await run(
        "RUN --mount=type=secret,id=key cat /run/secrets/key; stat -c ' %a' /run/secrets/key\nRUN --mount=type=secret,id=key,env=K --mount=type=secret,id=other --mount=type=ssh echo $K; ls /run 2>&1 || true",
        options,
      ),
    ).toBe("s3cret 400\ns3cret\nls: /run: No such file or directory");
    expect(run("RUN --mount=type=secret,id=other,required cat /run/secrets/other", options)).rejects.toThrow(
      "secret other: not found",
    );
  });
  test("heredocs", async () => {
    expect(
      await run(
        "RUN <<EOF\necho one\necho two\nEOF\nRUN <<EOF\n#!/bin/sh -e\necho $0\nfalse || echo three\nEOF\nRUN cat <<A <<B | sort\nx\nA\na\nB\n",
      ),
    ).toBe("one\ntwo\n/dev/pipes/EOF\nthree\na");
  });
  test("nothing is left of it", () => {
    expect(fixture.leftovers()).toEqual([]);
  });
});

const settings = {
  networkMode: "",
  extraHosts: [],
  memory: 0,
  memorySwap: 0,
  cpuShares: 0,
  cpuPeriod: 0,
  cpuQuota: 0,
  cpusetCpus: "",
  cpusetMems: "",
  cgroupParent: "",
  shmSize: 0,
  rlimits: [],
};

describe.skipIf(!f)("contexts", () => {
  const D = { name: "Dockerfile", type: "file", content: "FROM busybox\nCOPY . /c\nRUN cat /c/l" } as const;
  test("links never lead out", async () => {
    for (const linkname of ["/etc/passwd", "../../../../etc/passwd", "/proc/self/root/etc/passwd"]) {
      const direct = await fixture.buildTar(
        tar([
          { ...D, content: "FROM busybox\nCOPY l /x" },
          { name: "l", type: "symlink", linkname },
        ]),
      );
      expect(direct.error?.message).toMatch(/file does not exist|invalid symlink/);
    }
  });
  test.each([
    [
      "a Dockerfile that is a link outwards",
      [{ name: "Dockerfile", type: "symlink", linkname: "/etc/hostname" }],
      "Cannot locate specified Dockerfile: Dockerfile",
    ],
    ["a Dockerfile that is a directory", [{ name: "Dockerfile", type: "dir" }], "is not a regular file"],
    ["a Dockerfile that is a fifo", [{ name: "Dockerfile", type: "fifo" }], "is not a regular file"],
    ["a member above the root", [D, { name: "../evil", type: "file", content: "x" }], "outside of"],
    [
      "a member through a link",
      [D, { name: "s", type: "symlink", linkname: "/tmp" }, { name: "s/../../evil", type: "file" }],
      "outside of",
    ],
    ["a hard link outwards", [D, { name: "h", type: "link", linkname: "../../etc/passwd" }], "invalid hardlink"],
    ["nothing", [], "Cannot locate specified Dockerfile: Dockerfile"],
  ] as [string, Parameters<typeof tar>[0], string][])("%s", async (_, members, message) => {
    const { error } = await fixture.buildTar(tar(members));
    expect(error?.message).toContain(message);
  });
  test("a member behind a link lands where the link leads inside", async () => {
    const { id } = await fixture.buildTar(
      tar([
        { ...D, content: "FROM busybox\nCOPY tmp /c" },
        { name: "s", type: "symlink", linkname: "/tmp" },
        { name: "tmp/", type: "dir" },
        { name: "s/in", type: "file", content: "inside" },
      ]),
    );
    expect(await fixture.read(id!, "c/in")).toBe("inside");
  });
  test("owners are root, whatever the client says", async () => {
    const { text } = await fixture.buildTar(
      tar([
        { ...D, content: "FROM busybox\nCOPY f /\nRUN stat -c %u:%g /f" },
        { name: "f", type: "file", uid: 1234, gid: 77 },
      ]),
      { noCache: true },
    );
    expect(said(text)).toBe("0:0");
  });
  test("names outside, truncated, garbage", async () => {
    expect((await fixture.build("FROM busybox", {}, { dockerfile: "../D" })).error?.message).toBe(
      "forbidden path outside the build context: ../D ()",
    );
    expect((await fixture.buildTar(tar([D]).subarray(0, 530))).error?.message).toContain("unexpected EOF");
    expect((await fixture.buildTar(new TextEncoder().encode("no tar at all".repeat(100)))).error).not.toBeNull();
  });
  test("compressed ones, lower-case names, ignored Dockerfiles", async () => {
    const archive = tar([
      { name: "dockerfile", type: "file", content: "FROM busybox\nCOPY . /c\nRUN ls -A /c" },
      { name: ".dockerignore", type: "file", content: "dockerfile\n.dockerignore\n" },
      { name: "f", type: "file" },
    ]);
    expect(said((await fixture.buildTar(gzipSync(archive), { noCache: true })).text)).toBe("f");
  });
  test("altered ones end in an error or a build, and leave nothing", async () => {
    const archive = tar([
      { name: "Dockerfile", type: "file", content: "FROM busybox\nCOPY . /c" },
      { name: "d/", type: "dir" },
      { name: "d/l", type: "symlink", linkname: "../Dockerfile" },
      { name: "d/f", type: "file", content: "x".repeat(600) },
      { name: "d/h", type: "link", linkname: "d/f" },
    ]);
    let seed = 11;
    const next = (n: number) => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % n;
    };
    let built = 0;
    for (let i = 0; i < 300; i++) {
      const altered = Uint8Array.from(archive);
      for (let k = 0; k <= next(4); k++) altered[next(altered.length)] = next(256);
      // Half of them with right checksums again: those get further.
      if (i % 2) for (let at = 0; at + 512 <= altered.length; at += 512) repair(altered.subarray(at, at + 512));
      const { id, error } = await fixture.buildTar(altered.subarray(0, i % 3 ? altered.length : next(altered.length)));
      expect(id !== null || error?.name === "GantryError" || error?.name === "SysError").toBe(true);
      if (id) built++;
    }
    expect(built).toBeGreaterThan(20);
    expect(fixture.leftovers()).toEqual([]);
  });
  test("large ones", async () => {
    const big = new Uint8Array(5 << 20).fill(7);
    const { id, error } = await fixture.build("FROM busybox\nCOPY big small /", { big, small: "s" });
    expect(error).toBeNull();
    expect((await fixture.read(id!, "big")).length).toBe(big.length);
    expect((await fixture.build("FROM busybox\nCOPY big small /", { big, small: "s" })).text).toContain("Using cache");
  });
});

/** Gives a header block its checksum. */
function repair(block: Uint8Array): void {
  if (new TextDecoder().decode(block.subarray(257, 262)) !== "ustar") return;
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
}

describe.skipIf(!f)("downloads", () => {
  let server: ReturnType<typeof Bun.serve>;
  let hits = 0;
  beforeAll(() => {
    server = Bun.serve({
      port: 0,
      fetch(request) {
        hits++;
        const { pathname } = new URL(request.url);
        if (pathname === "/moved") return Response.redirect("/file.txt");
        if (pathname === "/out") return Response.redirect("file:///etc/passwd");
        if (pathname === "/file.txt")
          return new Response("fetched", { headers: { "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT" } });
        if (pathname === "/ctx.tar")
          return new Response(tar([{ name: "Dockerfile", type: "file", content: "FROM busybox\nLABEL remote=tar" }]));
        if (pathname === "/Plain") return new Response("FROM busybox\nLABEL remote=plain");
        return new Response("gone", { status: 404 });
      },
    });
  });
  afterAll(() => server?.stop(true));
  const at = (path: string) => `http://127.0.0.1:${server.port}${path}`;

  test("ADD", async () => {
    const { id, error } = await fixture.build(
      `FROM busybox\nADD ${at("/file.txt")} /d/\nADD ${at("/moved")} /d/named\nRUN stat -c '%a %Y' /d/file.txt`,
    );
    expect(error).toBeNull();
    expect(await fixture.read(id!, "d/file.txt")).toBe("fetched");
    expect(await fixture.read(id!, "d/named")).toBe("fetched");
    expect((await fixture.build(`FROM busybox\nADD ${at("/file.txt")} /d/`)).text).toContain("Using cache");
    expect(hits).toBeGreaterThan(2);
  });
  test("ADD refused", async () => {
    const failing = async (line: string) => (await fixture.build(`FROM busybox\n${line}`)).error?.message;
    expect(await failing(`ADD ${at("/none")} /`)).toContain("with status 404 Not Found: gone");
    expect(await failing(`ADD ${at("/out")} /`)).toContain("unsupported URL");
    expect(await failing(`ADD --checksum=sha256:${"0".repeat(64)} ${at("/file.txt")} /`)).toContain(
      "digest mismatch sha256:",
    );
    expect(await failing("ADD http://127.0.0.1:1/x /")).toStartWith('ADD failed: Get "http://127.0.0.1:1/x"');
  });
  test("contexts", async () => {
    for (const [path, remote] of [
      ["/ctx.tar", "tar"],
      ["/Plain", "plain"],
    ]) {
      const { id, error } = await fixture.buildTar(new Uint8Array(0), { source: { type: "remote", url: at(path!) } });
      expect(error).toBeNull();
      expect(fixture.config(id!).config!.Labels).toEqual({ remote: remote! });
    }
  });
});

describe.skipIf(!f)("cache", () => {
  test("--cache-from takes layers from an image's history", async () => {
    const dockerfile = "FROM busybox\nCOPY f /cf\nRUN echo cf > /cf2";
    const { id } = await fixture.build(dockerfile, { f: "cf" }, { tags: ["cachesource"] });
    await fixture.builder.prune({ all: true, keep: 0 });
    expect(await fixture.builder.usage()).toEqual([]);
    const again = await fixture.build(dockerfile, { f: "cf" }, { cacheFrom: ["cachesource", "missing:image"] });
    expect(again.text.match(/Using cache/g)!.length).toBe(2);
    expect(fixture.config(again.id!).rootfs).toEqual(fixture.config(id!).rootfs);
    const changed = await fixture.build(dockerfile, { f: "other" }, { cacheFrom: ["cachesource"] });
    expect(changed.text).not.toContain("Using cache");
  });
  test("with --cache-from nothing else is a cache", async () => {
    const dockerfile = "FROM busybox\nENV ONLY=1\nRUN echo only > /only\nLABEL a=b\nRUN echo more > /more";
    const first = await fixture.build(dockerfile, {}, { tags: ["onlysource"] });
    const other = await fixture.build(`${dockerfile}\nRUN echo third > /third`, {});
    const again = await fixture.build(dockerfile, {}, { cacheFrom: ["onlysource"] });
    expect(again.text.match(/Using cache/g)!.length).toBe(4);
    expect(again.id).toBe(first.id);
    const beyond = await fixture.build(`${dockerfile}\nRUN echo third > /third`, {}, { cacheFrom: ["onlysource"] });
    expect(beyond.text.match(/Using cache/g)!.length).toBe(4);
    expect(beyond.id).not.toBe(other.id);
    const none = await fixture.build(dockerfile, {}, { cacheFrom: ["nosuch:image"] });
    expect(none.error).toBeNull();
    expect(none.text).not.toContain("Using cache");
  });
  test("layers outlive their images until they are pruned", async () => {
    const { id } = await fixture.build("FROM busybox\nRUN echo $RANDOM > /outlives");
    const diffId = fixture.config(id!).rootfs.diff_ids.at(-1)!;
    fixture.storage.images.delete(id!);
    await fixture.storage.collect();
    expect(fixture.storage.layers.has(diffId)).toBe(true);
    const { reclaimed } = await fixture.builder.prune({ all: false, keep: 0 });
    expect(reclaimed).toBeGreaterThan(0);
    expect(fixture.storage.layers.has(diffId)).toBe(false);
  });
});
