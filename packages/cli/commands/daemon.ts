import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { err, line } from "../output.ts";

export const daemon = defineCommand({
  usage: "[OPTIONS]",
  short: "Run the engine in the foreground",
  flags: {},
  arity: { atLeast: 0 },
  // The engine reads its options itself: they are also keys of its daemon.json.
  raw: true,
  async run({ args }) {
    const { DAEMON_OPTIONS, parseDaemonConfig, startDaemon, VERSION } = await import("@gantry/api");
    if (args.includes("--help") || args.includes("-h")) {
      line("Usage:  gantry daemon [OPTIONS]\n\nRun the engine in the foreground\n\nOptions:");
      const names = DAEMON_OPTIONS.filter(({ flag, refused }) => flag && !refused).map(
        ({ flag, kind }) => `      --${flag}${kind === "bool" ? "" : ` ${kind}`}`,
      );
      line(names.sort().join("\n"));
      return 0;
    }
    if (args.includes("--version") || args.includes("-v")) {
      line(`Gantry version ${VERSION}`);
      return 0;
    }
    let stopping: (() => void) | undefined;
    const stopped = new Promise<void>((resolve) => {
      stopping = resolve;
    });
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stopping?.());
    let running: Awaited<ReturnType<typeof startDaemon>> | undefined;
    // Before the engine is up it has just read its configuration.
    process.on("SIGHUP", () => running?.reload(() => parseDaemonConfig([...args])));
    try {
      const config = parseDaemonConfig([...args]);
      if (config.validate) {
        line("configuration OK");
        return 0;
      }
      running = await startDaemon(config);
    } catch (error) {
      throw new CliError(`failed to start daemon: ${errorText(error)}`);
    }
    for (const address of running.addresses) err(`Gantry ${VERSION} listens on ${address}\n`);
    await stopped;
    await running.stop();
    return 0;
  },
});
