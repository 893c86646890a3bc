import type { ContainerRecord } from "../../containers/record.ts";
import type { ForwardDriver } from "./driver.ts";
import { fluentdDriver } from "./fluentd.ts";
import { gelfDriver } from "./gelf.ts";
import { logInfo } from "./info.ts";
import { journaldDriver } from "./journald.ts";
import { syslogDriver } from "./syslog.ts";

const DRIVERS = { fluentd: fluentdDriver, gelf: gelfDriver, journald: journaldDriver, syslog: syslogDriver };

/** The driver that a container's lines are sent by. Throws GantryError for bad options. */
export function forwardDriver(record: ContainerRecord): ForwardDriver {
  const make = DRIVERS[record.hostConfig.LogConfig?.Type as keyof typeof DRIVERS];
  return make(logInfo(record));
}
