import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { hostPort } from "../format/ports.ts";
import { line } from "../output.ts";

export const port = defineCommand({
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  short: "List a container's published ports",
  aliases: ["container port", "port"],
  flags: {},
  arity: { between: [1, 2] },
  async run({ cli, args }) {
    const [name, wanted] = args as [string, string?];
    const { NetworkSettings: settings } = await cli.docker.containers.inspect(name);
    const ports = settings.Ports ?? {};
    if (wanted !== undefined) {
      const [number = "", proto = "tcp"] = wanted.split("/");
      if (!/^\d+$/.test(number) || Number(number) > 65535) {
        throw new CliError(
          `Error: invalid port (${number}): strconv.ParseUint: parsing ${JSON.stringify(number)}: invalid syntax`,
        );
      }
      const bindings = ports[`${number}/${proto}`];
      if (!bindings || bindings.length === 0)
        throw new CliError(`Error: No public port '${wanted}' published for ${name}`);
      for (const { HostIp, HostPort } of bindings) line(hostPort(HostIp ?? "", HostPort ?? ""));
      return;
    }
    const entries = Object.entries(ports).sort(
      ([a], [b]) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1),
    );
    for (const [from, bindings] of entries) {
      for (const { HostIp, HostPort } of bindings ?? []) line(`${from} -> ${hostPort(HostIp ?? "", HostPort ?? "")}`);
    }
  },
});
