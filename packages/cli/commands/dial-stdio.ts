import { defineCommand } from "../command.ts";
import { writeAll } from "../output.ts";
import { stdinChunks } from "../terminal/stdin.ts";

export const dialStdio = defineCommand({
  usage: "",
  short: "Connect stdin and stdout to the engine",
  flags: {},
  arity: { exactly: 0 },
  async run({ cli }) {
    const wire = await cli.docker.dial();
    let drained: (() => void) | undefined;
    const closed = new Promise<void>((resolve) => {
      wire.listener = {
        data: (chunk) => writeAll(1, chunk),
        end: resolve,
        close: () => {
          drained?.();
          resolve();
        },
        drain: () => drained?.(),
      };
    });
    const send = async () => {
      for await (const chunk of stdinChunks()) {
        if (wire.write(chunk.slice())) continue;
        await new Promise<void>((resolve) => {
          drained = resolve;
        });
      }
      wire.end();
    };
    send().catch(() => wire.destroy());
    await closed;
  },
});
