import { notFound } from "@gantry/spec";
import type { Host } from "../host.ts";
import { type IpamDriver, nullIpam } from "../ipam/driver.ts";
import { RemoteIpam } from "../ipam/remote.ts";
import { Plugin } from "../plugins/plugin.ts";
import type { Driver } from "./driver.ts";
import { RemoteDriver } from "./remote.ts";

/** All drivers by name: the daemon's own, and those of plugins that have been asked for. */
export class Drivers {
  private readonly networks = new Map<string, Driver>();
  private readonly ipams = new Map<string, IpamDriver>();

  constructor(
    own: Driver[],
    addresses: IpamDriver,
    private readonly host: Host,
    private readonly defaults: Record<string, Record<string, string>>,
    private readonly places?: { sockets: string; specs: string[] },
  ) {
    for (const driver of own) this.networks.set(driver.name, driver);
    this.ipams.set("default", addresses);
    this.ipams.set("null", nullIpam);
  }

  /** Throws notFound. */
  network(name: string): Driver {
    const driver = this.networks.get(name);
    if (driver === undefined) throw notFound(`plugin ${JSON.stringify(name)} not found`);
    return driver;
  }

  /** Throws notFound. */
  ipam(name: string): IpamDriver {
    const driver = this.ipams.get(name);
    if (driver === undefined) throw notFound(`plugin ${JSON.stringify(name)} not found`);
    return driver;
  }

  /** As `network`, looking among plugins too. */
  async findNetwork(name: string): Promise<Driver> {
    const known = this.networks.get(name);
    if (known !== undefined) return known;
    const driver = new RemoteDriver(await Plugin.find(name, "NetworkDriver", this.places), this.host);
    this.networks.set(name, driver);
    return driver;
  }

  /** As `ipam`, looking among plugins too. */
  async findIpam(name: string): Promise<IpamDriver> {
    const known = this.ipams.get(name);
    if (known !== undefined) return known;
    const driver = new RemoteIpam(await Plugin.find(name, "IpamDriver", this.places));
    this.ipams.set(name, driver);
    return driver;
  }

  /** The daemon's default options for new networks of a driver (`default-network-opts`). */
  defaultOptions(driver: string): Record<string, string> {
    return this.defaults[driver] ?? {};
  }
}
