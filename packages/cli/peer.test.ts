import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";

/**
 * The same words, streams and statuses as Docker's own CLI, against a real Docker Engine: GANTRY_PEER_DOCKER is its
 * address (`unix://…`), `docker` is on the PATH, and it has an image called busybox.
 */
const PEER = process.env.GANTRY_PEER_DOCKER;
const docker = Bun.which("docker");
const MAIN = join(import.meta.dir, "main.ts");
const NAME = `gantry-peer-${process.pid}`;

const CASES: string[][] = [
  ...["", "--no-trunc", "-s", "-q", "--format json"].map((more) =>
    `ps -a --filter name=${NAME} ${more}`.split(" ").filter(Boolean),
  ),
  [
    "ps",
    "-a",
    "--filter",
    `name=${NAME}`,
    "--format",
    'table {{.Names}}\\t{{upper .State}}\\t{{.Label "a.some-label"}}',
  ],
  ["ps", "--format", "{{.Nope}}"],
  ["ps", "-a", "--format", "{{.Names"],
  ["ps", "-a", "--format", "{{foo .Names}}"],
  ["ps", "--filter", "foo"],
  ["ps", "--filter", "foo=bar"],
  ["ps", "x"],
  ["inspect", NAME],
  ["inspect", NAME, "nope"],
  ["inspect", "-f", "{{.State.Status}} {{.Config.Env}} {{.Config.Labels}} {{json .NetworkSettings.Ports}}", NAME],
  [
    "inspect",
    "-f",
    "{{.HostConfig.RestartPolicy}} {{.Config.ExposedPorts}} {{.HostConfig.Binds}} {{.HostConfig.LogConfig}}",
    NAME,
  ],
  ["inspect", "-f", "{{.Nope}}", NAME],
  ["inspect", "-f", "{{if .State.Health}}a{{else}}b{{end}} {{len .Mounts}} {{slice .ID 0 5}}", NAME],
  ["inspect", "-f", "{{.State.Health.Status}}", NAME],
  ["inspect", "--type", "image", NAME],
  ["container", "inspect", "nope"],
  ["image", "inspect", "busybox", "-f", "{{.Id}} {{.RepoTags}} {{.Os}}/{{.Architecture}} {{.Config.Cmd}}"],
  ["image", "inspect", "nope"],
  ["network", "inspect", "nope"],
  ["network", "rm", "nope"],
  ["network", "create", "--subnet", "10.1.0.0/16", "--gateway", "10.2.0.1", "x"],
  ["volume", "inspect", "nope"],
  ["volume", "rm", "nope"],
  ["history", "busybox"],
  ["history", "--no-trunc", "busybox"],
  ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.Digest}} {{.VirtualSize}}", "busybox"],
  ["images", "nope"],
  ["images", "--filter", "foo=bar"],
  ["port", NAME],
  ["port", NAME, "80"],
  ["port", NAME, "99"],
  ["logs", NAME],
  ["logs", "--tail", "1", NAME],
  ["logs", "--since", "1x", NAME],
  ["logs", "nope"],
  ["top", NAME, "-o", "comm"],
  ["diff", "nope"],
  ["tag", "nope:x", "y"],
  ["tag", "busybox", "UPPER"],
  ["rmi", "nope"],
  ["rmi", "-f", "nope"],
  ["rm", "nope"],
  ["rm", "-f", "nope"],
  ["rm", NAME],
  ["stop", "nope", "nope2"],
  ["start", "nope", "nope2"],
  ["kill", "-s", "FOO", NAME],
  ["pause", "nope"],
  ["unpause", NAME],
  ["wait", "nope"],
  ["rename", "nope", "x"],
  ["exec", "nope", "true"],
  ["exec", NAME, "sh", "-c", "echo a; echo b >&2; exit 42"],
  ["exec", "-e", "A=1", "-w", "/tmp", "-u", "nobody", NAME, "sh", "-c", "echo $A; pwd; id -u"],
  ["exec", NAME],
  ["update", NAME],
  ["commit", "nope"],
  ["cp", "nope:/x", "/tmp/"],
  ["cp", "a", "b"],
  ["save", "nope:x"],
  ["context", "show"],
  ["create", "--restart", "foo", "busybox"],
  ["run"],
  ["run", "--nope", "busybox"],
  ["run", "-m", "x", "busybox"],
  ["run", "--cpus", "x", "busybox"],
  ["run", "--rm", "--restart", "always", "busybox"],
  ["run", "--rm", "-d", "-a", "stdout", "busybox"],
  ["run", "--rm", "--mount", "foo", "busybox"],
  ["run", "--rm", "--ulimit", "foo", "busybox"],
  ["run", "--rm", "--health-interval", "-1s", "busybox"],
  ["run", "--rm", "--pull", "foo", "busybox"],
  ["run", "--rm", "UPPER"],
  ["run", "--rm", "busybox:"],
  ["nope"],
  ["network", "nope"],
];

describe.skipIf(!PEER || !docker)("as Docker's own CLI", () => {
  async function run(command: string[], argv0: string, argv: string[]) {
    const child = Bun.spawn([...command, "-H", PEER!, ...argv], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      argv0,
      cwd: "/",
    });
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, out: steady(out), err: steady(err) };
  }
  const theirs = (argv: string[]) => run([docker!], docker!, argv);
  const ours = (argv: string[]) => run([process.execPath, MAIN], "docker", argv);

  beforeAll(async () => {
    const made = await theirs([
      "run",
      "-d",
      "--name",
      NAME,
      "-p",
      "127.0.0.1:28080:80",
      "--label",
      "a.some-label=x",
      "-e",
      "A=b",
      "busybox",
      "sh",
      "-c",
      "echo one; echo two >&2; sleep 1000",
    ]);
    expect(made.err).toBe("");
  }, 60_000);
  afterAll(async () => {
    await theirs(["rm", "-f", NAME]);
  }, 60_000);

  for (const argv of CASES) {
    test(argv.join(" "), async () => expect(await ours(argv)).toEqual(await theirs(argv)), 30_000);
  }
});

/** Without what differs from one moment to the next. */
function steady(text: string): string {
  return text
    .replace(/(Less than a second|About an? \w+|\d+ (seconds?|minutes?))( ago)?/g, "<age>")
    .replace(/ {2,}/g, "  ");
}
