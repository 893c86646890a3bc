/**
 * nginx, PostgreSQL and Redis from Debian's packages, each in a container of its own, that find each other by name. The
 * image takes a minute to make (mmdebstrap), so this runs where GANTRY_TEST_SERVICES is set.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

const wanted = process.env["GANTRY_TEST_SERVICES"] !== undefined && canRunContainers;

const PACKAGES = "nginx-light,postgresql,redis-server,curl";

/** A root file system with the services in it, from the packages this machine itself is fed from. */
async function makeRoot(tar: string): Promise<void> {
  const shell = `set -e
command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
uri=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort | uniq -c | sort -rn | awk 'NR==1{print $2}')
. /etc/os-release
mmdebstrap --variant=minbase --mode=root --include=${PACKAGES} "$VERSION_CODENAME" "${tar}" "$uri" >/dev/null 2>&1`;
  const made = Bun.spawnSync(["sh", "-c", shell], { stderr: "pipe" });
  if (made.exitCode !== 0) throw new Error(`mmdebstrap: ${made.stderr}`);
}

describe.skipIf(!wanted)("real services", () => {
  let engine: TestEngine;
  let folder: string;

  async function must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await engine.docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "gantry-services-"));
    await makeRoot(join(folder, "root.tar"));
    engine = await startEngine();
    const path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    await must("import", "-c", path, join(folder, "root.tar"), "services");
    await must("network", "create", "shop");
    writeFileSync(
      join(folder, "nginx.conf"),
      `events {} http { server { listen 80; location / { proxy_pass http://app:8080; } } }\n`,
    );
  }, 300_000);

  afterAll(async () => {
    await engine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("PostgreSQL keeps rows that another container writes and reads by name, over a restart", async () => {
    const start = `pg=$(ls -d /usr/lib/postgresql/*/bin); test -d /data/base || { mkdir -p /data && chown postgres /data
su postgres -c "$pg/initdb -A trust -D /data" >/dev/null && echo "host all all all trust" >> /data/pg_hba.conf; }
mkdir -p /run/postgresql && chown postgres /run/postgresql; exec su postgres -c "$pg/postgres -D /data -h '*'"`;
    await must(
      "run",
      "-d",
      "--name",
      "db",
      "--network",
      "shop",
      "--shm-size",
      "128m",
      "-v",
      "shopdata:/data",
      "services",
      "sh",
      "-c",
      start,
    );
    const query = (text: string) =>
      engine.docker("run", "--rm", "--network", "shop", "services", "psql", "-h", "db", "-U", "postgres", "-Atc", text);
    await eventually(async () => (await query("select 1")).code === 0);
    await must(
      "run",
      "--rm",
      "--network",
      "shop",
      "services",
      "psql",
      "-h",
      "db",
      "-U",
      "postgres",
      "-c",
      "create table t as select generate_series(1,1000) n",
    );
    await must("restart", "db");
    await eventually(async () => (await query("select 1")).code === 0);
    expect((await query("select count(*), sum(n) from t")).stdout.trim()).toBe("1000|500500");
  }, 120_000);

  test("Redis answers by name, also to 50 connections at once", async () => {
    await must(
      "run",
      "-d",
      "--name",
      "cache",
      "--network",
      "shop",
      "services",
      "redis-server",
      "--protected-mode",
      "no",
    );
    const ask = (...args: string[]) =>
      engine.docker("run", "--rm", "--network", "shop", "services", "redis-cli", "-h", "cache", ...args);
    await eventually(async () => (await ask("ping")).stdout.trim() === "PONG");
    expect((await ask("set", "k", "v")).stdout.trim()).toBe("OK");
    expect((await ask("get", "k")).stdout.trim()).toBe("v");
    const load = await must(
      "run",
      "--rm",
      "--network",
      "shop",
      "services",
      "redis-benchmark",
      "-h",
      "cache",
      "-q",
      "-n",
      "5000",
      "-t",
      "get",
    );
    expect(load).toMatch(/GET: [\d.]+ requests per second/);
  }, 120_000);

  test("nginx, published, passes on to another container by name", async () => {
    await must("run", "-d", "--name", "app", "--network", "shop", "busybox", "httpd", "-f", "-p", "8080", "-h", "/etc");
    await must(
      "run",
      "-d",
      "--name",
      "front",
      "--network",
      "shop",
      "-p",
      "127.0.0.1::80",
      "-v",
      `${folder}/nginx.conf:/etc/nginx/nginx.conf:ro`,
      "services",
      "nginx",
      "-g",
      "daemon off;",
    );
    const address = await must("port", "front", "80");
    const page = () =>
      fetch(`http://${address}/passwd`, { signal: AbortSignal.timeout(3000) }).then(
        (r) => r.text(),
        () => "",
      );
    await eventually(async () => (await page()).startsWith("root:"));
    expect(await must("run", "--rm", "--network", "shop", "services", "curl", "-s", "http://front/group")).toContain(
      "root:x:0:",
    );
  }, 120_000);
});
