import { writeFileSync } from "node:fs";
import { buildContext } from "../build-context.ts";
import { defineCommand } from "../command.ts";
import { allCredentials } from "../credentials.ts";
import { CliError } from "../errors.ts";
import { bool, int, list, str, value } from "../flags.ts";
import { containerFlags } from "../options/container-flags.ts";
import { contentTrustFlag, refuseContentTrust } from "../options/content-trust.ts";
import { keyValue } from "../options/csv.ts";
import { checkLabel } from "../options/env.ts";
import { parseSize, parseSwapSize } from "../options/sizes.ts";
import { line, writeAll } from "../output.ts";
import { ProgressDisplay } from "../terminal/progress.ts";
import { isTerminal } from "../terminal/tty.ts";

const size = (help: string, short = "") => value(short, help, { type: "bytes", initial: 0, parse: parseSize });

export const build = defineCommand({
  usage: "[OPTIONS] PATH | URL | -",
  short: "Build an image from a Dockerfile",
  aliases: ["image build", "build", "builder build"],
  flags: {
    "add-host": containerFlags["add-host"],
    "build-arg": list("", "Set build-time variables"),
    "cache-from": list("", "Images to use as cache", { type: "strings" }),
    "cgroup-parent": str("", "Parent cgroup of the build's containers"),
    compress: bool("", "Compress the context"),
    "cpu-period": int("", "Period of the CPU quota, in microseconds"),
    "cpu-quota": int("", "CPU time in each period, in microseconds"),
    "cpu-shares": int("c", "Relative weight of CPU"),
    "cpuset-cpus": str("", "CPUs to run on (0-3, 0,1)"),
    "cpuset-mems": str("", "Memory nodes to use (0-3, 0,1)"),
    "disable-content-trust": contentTrustFlag("Skip image verification"),
    file: str("f", 'Name of the Dockerfile (default is "PATH/Dockerfile")'),
    "force-rm": bool("", "Remove intermediate containers in any case"),
    iidfile: str("", "Write the image's ID to a file"),
    isolation: str("", "Isolation technology"),
    label: list("", "Set labels on the image", { check: checkLabel }),
    memory: size("Limit of memory", "m"),
    "memory-swap": value("", "Limit of memory plus swap: '-1' for unlimited swap", {
      type: "bytes",
      initial: 0,
      parse: parseSwapSize,
    }),
    network: str("", "Network of the RUN steps", "default"),
    "no-cache": bool("", "Do not use the cache"),
    platform: str("", "Platform to build for"),
    progress: str("", "", "auto", { hidden: true }),
    pull: bool("", "Look for newer base images"),
    quiet: bool("q", "Print the image's ID only"),
    rm: bool("", "Remove intermediate containers", true),
    "security-opt": list("", "Security options", { type: "strings" }),
    "shm-size": size("Size of /dev/shm"),
    squash: bool("", "Make one layer of the new layers"),
    tag: list("t", 'Name and tag of the image ("name:tag")'),
    target: str("", "Stage to build"),
    ulimit: containerFlags.ulimit,
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    refuseContentTrust(flags["disable-content-trust"]);
    const { parseReference } = await import("@gantry/spec/reference");
    for (const tag of flags.tag) {
      try {
        parseReference(tag);
      } catch (error) {
        throw new CliError(
          `invalid argument ${JSON.stringify(tag)} for "-t, --tag" flag: ${(error as Error).message}`,
          125,
        );
      }
    }
    const context = await buildContext(args[0]!, flags.file);
    const buildArgs: Record<string, string | null> = {};
    for (const item of flags["build-arg"]) {
      const [name, given] = keyValue(item);
      const inherited = given ?? process.env[name];
      // A name alone takes this process's value; without one the Dockerfile's default stands.
      if (inherited !== undefined) buildArgs[name] = inherited;
      else buildArgs[name] = null;
    }
    const labels = Object.fromEntries(flags.label.map((item) => [keyValue(item)[0], keyValue(item)[1] ?? ""]));
    const stream = await cli.docker.system.build(
      context.body,
      {
        t: flags.tag,
        dockerfile: context.dockerfile,
        remote: context.remote,
        q: flags.quiet || undefined,
        nocache: flags["no-cache"] || undefined,
        pull: flags.pull ? "1" : undefined,
        rm: flags.rm ? "1" : "0",
        forcerm: flags["force-rm"] || undefined,
        squash: flags.squash || undefined,
        target: flags.target || undefined,
        networkmode: flags.network,
        platform: flags.platform || undefined,
        buildargs: JSON.stringify(buildArgs),
        labels: JSON.stringify(labels),
        cachefrom: JSON.stringify(flags["cache-from"].flatMap((item) => item.split(","))),
        extrahosts: flags["add-host"],
        memory: flags.memory || undefined,
        memswap: flags["memory-swap"] || undefined,
        cpushares: flags["cpu-shares"] || undefined,
        cpuperiod: flags["cpu-period"] || undefined,
        cpuquota: flags["cpu-quota"] || undefined,
        cpusetcpus: flags["cpuset-cpus"] || undefined,
        cpusetmems: flags["cpuset-mems"] || undefined,
        cgroupparent: flags["cgroup-parent"] || undefined,
        shmsize: flags["shm-size"] || undefined,
        ulimits: JSON.stringify(flags.ulimit),
        version: "1",
      },
      { auth: allCredentials(cli.configDir) },
    );
    let id = "";
    let text = "";
    const display = new ProgressDisplay((part) => {
      if (flags.quiet) text += part;
      else writeAll(1, part);
    }, !flags.quiet && isTerminal(1));
    for await (const message of stream) {
      const { aux } = message as { aux?: { ID?: string } };
      if (aux?.ID) id = aux.ID;
      if (message.aux !== undefined && message.aux !== null) continue;
      try {
        display.show(message);
      } catch (error) {
        if (flags.quiet) writeAll(2, text);
        // The status of the step that failed is the command's.
        throw new CliError((error as Error).message, message.errorDetail?.code || 1);
      }
    }
    if (flags.quiet) line(id || text.trim());
    if (flags.iidfile) {
      if (!id) throw new CliError(`server did not provide an image ID. Cannot write ${flags.iidfile}`);
      writeFileSync(flags.iidfile, id, { mode: 0o666 });
    }
  },
});
