/**
 * The whole way in one go, on an engine of its own (private socket, data root and bridge): a base image from Debian's
 * busybox-static, an image built from a Dockerfile, a container with a published port, its page by curl, its log.
 * Removes everything it made, also when a step fails.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { busyboxTar } from "./busybox.ts";
import { sweepBridge } from "./sweep.ts";

if (process.getuid?.() !== 0) {
  console.error("quickstart: run as root (containers need namespaces, mounts and a bridge)");
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), "gantry-quickstart-"));
const host = `unix://${folder}/gantry.sock`;
const gantry = join(process.cwd(), "dist", "gantry");
const env = { ...process.env, DOCKER_HOST: host };

/** Shows a command and its output; throws where it fails. Returns what it printed. */
function run(...args: string[]): string {
  console.log(`\x1b[1m$ ${args.map((a) => (a === gantry ? "gantry" : a)).join(" ")}\x1b[0m`);
  const { exitCode, stdout, stderr } = Bun.spawnSync(args, { env, stdout: "pipe", stderr: "pipe" });
  const text = stdout.toString() + stderr.toString();
  if (text.trim()) console.log(text.trimEnd());
  if (exitCode !== 0) throw new Error(`${args.slice(0, 3).join(" ")} … exited ${exitCode}`);
  return stdout.toString().trim();
}

const DOCKERFILE = `FROM busybox
ENV GREETING="Hello from a container that Gantry built and runs."
WORKDIR /srv
COPY page.html .
RUN sed -i "s/@GREETING@/$GREETING/" page.html && mv page.html index.html && chown -R web /srv
EXPOSE 8080
USER web
ENTRYPOINT ["httpd", "-f", "-v"]
CMD ["-p", "8080", "-h", "/srv"]
`;

async function main(): Promise<void> {
  if (Bun.spawnSync([process.execPath, "scripts/build.ts"], { stdout: "inherit", stderr: "inherit" }).exitCode !== 0) {
    throw new Error("the build failed");
  }
  console.log(`\x1b[1m$ gantry daemon -H ${host} --data-root ${folder}/data --exec-root ${folder}/run …\x1b[0m`);
  const log = join(folder, "daemon.log");
  writeFileSync(join(folder, "daemon.json"), "{}\n");
  const daemon = Bun.spawn(
    [gantry, "daemon", "-H", host, "--data-root", `${folder}/data`, "--exec-root", `${folder}/run`]
      .concat(["--pidfile", `${folder}/gantry.pid`, "--config-file", `${folder}/daemon.json`])
      .concat(["--bridge", "gantry-quick", "--bip", "10.231.0.1/24"]),
    { stdout: Bun.file(log), stderr: Bun.file(log), stdin: "ignore" },
  );
  try {
    for (let i = 0; !existsSync(join(folder, "gantry.sock")); i++) {
      if (i > 1200 || daemon.exitCode !== null)
        throw new Error(`the daemon did not start:\n${await Bun.file(log).text()}`);
      await Bun.sleep(50);
    }
    const context = join(folder, "context");
    mkdirSync(context);
    writeFileSync(join(context, "Dockerfile"), DOCKERFILE);
    writeFileSync(join(context, "page.html"), "<h1>@GREETING@</h1>\n");

    run(gantry, "version", "--format", "client {{.Client.Version}}, engine {{.Server.Version}}");
    run(gantry, "import", "--change", 'CMD ["sh"]', busyboxTar(join(folder, "base.tar")), "busybox:latest");
    run(gantry, "build", "-t", "hello", context);
    run(gantry, "run", "-d", "--name", "hello", "-p", "127.0.0.1::8080", "hello");
    const address = run(gantry, "port", "hello", "8080");
    const page = run("curl", "-sS", "--retry", "5", "--retry-connrefused", "--max-time", "10", `http://${address}/`);
    if (!page.includes("Hello from a container")) throw new Error(`the page is not what the image serves: ${page}`);
    run(gantry, "ps");
    run(gantry, "logs", "hello");
    run(gantry, "rm", "-f", "hello");
    run(gantry, "rmi", "hello", "busybox");
  } finally {
    Bun.spawnSync([gantry, "rm", "-f", "hello"], { env });
    daemon.kill("SIGTERM");
    await daemon.exited;
    sweepBridge("gantry-quick");
  }
}

try {
  await main();
  console.log("\nAll of it worked, and all of it is removed again.");
} catch (error) {
  console.error(`quickstart: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
