/** A daemon as its own process, for tests: `bun main.ts <dockerd flags>`. Ends cleanly on SIGTERM and SIGINT. */
import { parseDaemonConfig, startDaemon } from "@gantry/api";

const read = () => parseDaemonConfig(process.argv.slice(2).filter((arg) => arg !== "daemon"));
const daemon = await startDaemon(read());
process.on("SIGHUP", () => daemon.reload(read));
process.stdout.write(`ready ${daemon.addresses.join(" ")}\n`);
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    daemon.stop().then(
      () => process.exit(0),
      (error) => {
        process.stderr.write(`${error}\n`);
        process.exit(1);
      },
    );
  });
}
