/** The Docker Engine API over HTTP, and the daemon that serves it. */
export { type Daemon, startDaemon } from "./daemon.ts";
export { type DaemonConfig, DEFAULT_CONFIG_FILE, parseDaemonConfig } from "./daemon-config.ts";
export { DAEMON_OPTIONS, type DaemonOption } from "./daemon-options.ts";
export { type ApiParts, apiHandler } from "./server.ts";
export { VERSION } from "./version.ts";
