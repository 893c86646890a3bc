import type { Database } from "bun:sqlite";
import { hostAppArmor, type Runtime } from "@gantry/libcontainer";
import type { NetworkController } from "@gantry/network";
import type { HostConfig } from "@gantry/spec";
import type { Storage } from "@gantry/storage";
import type { EngineConfig } from "./config/engine-config.ts";
import { Containers } from "./containers/containers.ts";
import { EventBus } from "./events/event-bus.ts";
import { Execs } from "./exec/execs.ts";
import { LogForwards } from "./logs/forward/forwards.ts";
import { followNetworks } from "./networks/files.ts";
import { askedAppArmor } from "./spec/security.ts";
import { ContainerStore } from "./state/container-store.ts";

/** What an engine is made of. */
export interface EngineParts {
  config: EngineConfig;
  database: Database;
  storage: Storage;
  network: NetworkController;
  /** By name; "gantry" is ours. */
  runtimes: Map<string, Runtime>;
  /** "overlay2" or "vfs", as storage chose. */
  storageDriver: string;
  /** Host path of the init that `--init` puts into containers; null where there is none. */
  initBinary: string | null;
  /** Stable name of this engine: 32 hex digits or a UUID. */
  id: string;
}

/** The domain: containers and everything around them. The functions of this package work on it. */
export class Engine {
  readonly config: EngineConfig;
  readonly database: Database;
  readonly storage: Storage;
  readonly network: NetworkController;
  readonly runtimes: Map<string, Runtime>;
  readonly storageDriver: string;
  readonly initBinary: string | null;
  readonly id: string;
  readonly events = new EventBus();
  readonly containers: Containers;
  readonly execs = new Execs();
  readonly logForwards = new LogForwards(this);
  /** Whether the host has cgroup v2 (alone). */
  readonly cgroupV2: boolean;
  /** Set while the daemon shuts down: exits are not followed by restarts. */
  stopping = false;
  /** Work that goes on after its request was answered; shutdown waits for it. */
  readonly background = new Set<Promise<unknown>>();

  constructor(parts: EngineParts, cgroupV2: boolean) {
    this.config = parts.config;
    this.database = parts.database;
    this.storage = parts.storage;
    this.network = parts.network;
    this.runtimes = parts.runtimes;
    this.storageDriver = parts.storageDriver;
    this.initBinary = parts.initBinary;
    this.id = parts.id;
    this.cgroupV2 = cgroupV2;
    this.containers = new Containers(this, new ContainerStore(parts.database));
    parts.network.onFiles((change) => followNetworks(this, change));
    parts.network.onEvent((event) => {
      this.events.emit("network", event.action, event.networkId, {
        name: event.networkName,
        type: event.networkType,
        ...(event.containerId === undefined ? {} : { container: event.containerId }),
      });
    });
  }

  /** The AppArmor profile that a container's processes are under; "" where the host has no AppArmor. */
  async appArmorProfile(host: HostConfig): Promise<string> {
    const warn = (message: string) => this.log("warn", message);
    return (await hostAppArmor()?.profile(askedAppArmor(host), host.Privileged === true, warn)) ?? "";
  }

  /** Lets work go on by itself; its failure is logged, not lost. */
  later(what: string, work: Promise<unknown>): void {
    const tracked = work
      .catch((error) => this.log("error", `${what}: ${error instanceof Error ? error.message : String(error)}`))
      .finally(() => this.background.delete(tracked));
    this.background.add(tracked);
  }

  /** One line on the daemon's standard error. */
  log(level: "debug" | "info" | "warn" | "error", message: string): void {
    if (level === "debug" && !this.config.debug) return;
    process.stderr.write(`time="${new Date().toISOString()}" level=${level} msg=${JSON.stringify(message)}\n`);
  }

  /** The runtime of that name; Docker's names for its default are ours too. */
  runtime(name: string): Runtime {
    const runtime = this.runtimes.get(name) ?? this.runtimes.get("gantry");
    if (runtime === undefined) throw new Error(`unknown runtime ${name}`);
    return runtime;
  }
}
