import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { openBuilder } from "@gantry/builder";
import { openDistribution } from "@gantry/distribution";
import { applyRestartPolicies, type Engine, Images, openDatabase, openEngine, shutdownEngine } from "@gantry/engine";
import { installInit, openRuntime, type Runtime, warmSeccomp } from "@gantry/libcontainer";
import { openNetwork } from "@gantry/network";
import { messageOf } from "@gantry/spec";
import { closeWorkers, openStorage } from "@gantry/storage";
import type { DaemonConfig } from "./daemon-config.ts";
import { reloadAttributes, reloadConfig } from "./daemon-reload.ts";
import { type Listening, listenTcp, listenUnix, type TlsOptions } from "./http/index.ts";
import { IdleKeeper } from "./idle.ts";
import { buildPull } from "./routes/build-pull.ts";
import { apiHandler } from "./server.ts";

/** Milliseconds after the start when nobody is likely to wait for us. */
const WARM_DELAY = 50;

/** A running daemon. */
export interface Daemon {
  readonly engine: Engine;
  readonly addresses: string[];
  /** Takes over what can change in a running daemon, as SIGHUP does; what is wrong is logged and changes nothing. */
  reload(read: () => DaemonConfig): void;
  /** Ends it as SIGTERM does: containers are stopped unless live-restore is on. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon: opens what is on disk, brings it up to date, listens. Throws where another daemon holds the pid
 * file, or something cannot be opened; then nothing is left behind.
 */
export async function startDaemon(config: DaemonConfig): Promise<Daemon> {
  const { engine: settings } = config;
  mkdirSync(settings.dataRoot, { recursive: true, mode: 0o710 });
  mkdirSync(settings.execRoot, { recursive: true, mode: 0o711 });
  const unlock = takePidfile(config.pidfile);
  if (config.proxy.http !== "") process.env["HTTP_PROXY"] = config.proxy.http;
  if (config.proxy.https !== "") process.env["HTTPS_PROXY"] = config.proxy.https;
  if (config.proxy.no !== "") process.env["NO_PROXY"] = config.proxy.no;
  const listening: Listening[] = [];
  try {
    const database = openDatabase(`${settings.dataRoot}/gantry.db`);
    const storage = openStorage({
      root: settings.dataRoot,
      db: database,
      ...(settings.storageDriver === null ? {} : { driver: settings.storageDriver }),
    });
    await storage.recover();
    const network = await openNetwork({ ...config.network, db: database, execRoot: settings.execRoot });
    const own = openRuntime();
    const externalRuntimes = (named: typeof settings.runtimes): [string, Runtime][] =>
      Object.entries(named).map(([name, { path, runtimeArgs }]) => {
        const found = Bun.which(path);
        if (found === null) throw new Error(`runtime ${name}: ${path}: executable file not found`);
        return [name, own.external({ name, path: found, ...(runtimeArgs ? { args: runtimeArgs } : {}) })];
      });
    const runtimes = new Map<string, Runtime>([["gantry", own], ...externalRuntimes(settings.runtimes)]);
    const distribution = openDistribution({ storage, config: () => config.registry });
    const engine = await openEngine({
      config: settings,
      database,
      storage,
      network,
      runtimes,
      storageDriver: storage.driver,
      initBinary: installInit(settings.dataRoot),
      id: engineId(`${settings.dataRoot}/engine-id`),
    });
    const images = new Images({
      storage,
      distribution,
      events: engine.events,
      containersUsing: (imageId) =>
        engine.containers
          .all()
          .filter((container) => container.record.imageId === imageId)
          .map((container) => ({ id: container.id, running: container.running })),
      containerCounts: () => {
        const counts = new Map<string, number>();
        for (const { record } of engine.containers.all()) {
          counts.set(record.imageId, (counts.get(record.imageId) ?? 0) + 1);
        }
        return counts;
      },
      later: (what, work) => engine.later(what, work),
    });
    const builder = openBuilder({
      storage,
      runtime: engine.runtime("gantry"),
      network,
      pullImage: buildPull(images),
      db: database,
      root: `${settings.dataRoot}/builder`,
      execRoot: `${settings.execRoot}/builds`,
      cgroupParent: settings.cgroupParent || "gantry",
      dns: { servers: settings.dns, search: settings.dnsSearch, options: settings.dnsOptions },
      onTag: (id, name) => engine.events.emit("image", "tag", id, { name }),
    });
    await builder.recover();
    const idle = new IdleKeeper();
    const handler = apiHandler({ engine, images, distribution, builder, config }, idle);
    for (const host of config.hosts) listening.push(listen(host, handler, config));
    surviveErrors(engine);
    engine.later("restart policies", applyRestartPolicies(engine));
    setTimeout(warmSeccomp, WARM_DELAY).unref();
    for (const warning of config.warnings) engine.log("warn", warning);
    engine.events.emit("daemon", "start", engine.id, { name: engine.id });
    let stopped: Promise<void> | null = null;
    return {
      engine,
      addresses: listening.map((one) => one.address),
      reload(read) {
        engine.log("info", `Got signal to reload configuration, reloading from: ${config.configFile}`);
        try {
          reloadConfig(config, read(), engine.runtimes, externalRuntimes);
        } catch (error) {
          engine.log("error", messageOf(error));
          return;
        }
        const attributes = reloadAttributes(config);
        engine.log("info", `Reloaded configuration: ${JSON.stringify(attributes)}`);
        engine.events.emit("daemon", "reload", engine.id, { name: engine.id, ...attributes });
      },
      stop() {
        stopped ??= (async () => {
          idle.stop();
          for (const one of listening) one.close();
          await builder.close();
          await shutdownEngine(engine);
          await storage.settled();
          for (const one of listening) one.close(true);
          closeWorkers();
          database.close();
          unlock();
        })();
        return stopped;
      },
    };
  } catch (error) {
    for (const one of listening) one.close(true);
    unlock();
    throw error;
  }
}

let surviving = false;

/** An error that nobody caught must not take the daemon down: it is logged, with where it came from. */
function surviveErrors(engine: Engine): void {
  if (surviving) return;
  surviving = true;
  const log = (kind: string) => (error: unknown) =>
    engine.log("error", `${kind}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.on("uncaughtException", log("uncaught exception"));
  process.on("unhandledRejection", log("unhandled rejection"));
}

function listen(host: string, handler: Parameters<typeof listenUnix>[1], config: DaemonConfig): Listening {
  if (host.startsWith("unix://")) {
    const path = host.slice(7);
    mkdirSync(path.replace(/\/[^/]*$/, "") || "/", { recursive: true });
    return listenUnix(path, handler, groupId(config.group));
  }
  const url = /^tcp:\/\/(\[[^\]]*\]|[^:/]*)(?::(\d+))?/.exec(host);
  const name = (url?.[1] ?? "").replace(/^\[|\]$/g, "") || "127.0.0.1";
  const port = url?.[2] === undefined ? (config.tls.enabled ? 2376 : 2375) : Number(url[2]);
  return listenTcp(name, port, handler, config.tls.enabled ? readTls(config) : undefined);
}

function readTls(config: DaemonConfig): TlsOptions {
  const { ca, cert, key, verify } = config.tls;
  const read = (path: string, what: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new Error(`could not load ${what} ${JSON.stringify(path)}: ${messageOf(error)}`);
    }
  };
  return {
    cert: read(cert, "X509 certificate"),
    key: read(key, "X509 key"),
    ...(verify ? { ca: read(ca, "CA certificate") } : {}),
    verify,
  };
}

/** The group that may use the socket; undefined where the machine has no such group. */
function groupId(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  try {
    const line = readFileSync("/etc/group", "utf8")
      .split("\n")
      .find((entry) => entry.startsWith(`${name}:`));
    return line === undefined ? undefined : Number(line.split(":")[2]);
  } catch {
    return undefined;
  }
}

/** Writes our pid; refuses where the process named there lives and is a daemon too. */
function takePidfile(path: string): () => void {
  let there = "";
  try {
    there = readFileSync(path, "utf8").trim();
  } catch {
    // None.
  }
  if (/^\d+$/.test(there) && Number(there) !== process.pid && isDaemon(Number(there))) {
    throw new Error(
      `failed to start daemon, ensure daemon is not running or delete ${path}: process with PID ${there} is still running`,
    );
  }
  mkdirSync(path.replace(/\/[^/]*$/, "") || "/", { recursive: true });
  writeFileSync(path, `${process.pid}\n`);
  return () => rmSync(path, { force: true });
}

function isDaemon(pid: number): boolean {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return command.includes("daemon") && !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

/** The engine's stable name. */
function engineId(path: string): string {
  try {
    const id = readFileSync(path, "utf8").trim();
    if (/^[0-9a-f-]{36}$/.test(id)) return id;
  } catch {
    // First start.
  }
  const id = randomUUID();
  writeFileSync(path, id);
  return id;
}
