import type { SystemInfo } from "@gantry/spec";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { goJson } from "../format/go-print.ts";
import { compileTemplate, TemplateError } from "../format/template.ts";
import { unescapeFormat } from "../format/template-listing.ts";
import { binarySize } from "../format/units.ts";
import { objectFormat } from "../options/format.ts";
import { err, line, out } from "../output.ts";
import { clientVersion } from "./version.ts";

export const info = defineCommand({
  usage: "[OPTIONS]",
  short: "Show facts about the engine",
  aliases: ["system info", "info"],
  flags: { format: objectFormat() },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    let server: SystemInfo | undefined;
    let failure: string | undefined;
    try {
      server = await cli.docker.system.info();
    } catch (error) {
      failure = errorText(error);
    }
    const client = { Debug: cli.globals.debug ?? false, ...clientVersion(cli), Plugins: [], Warnings: null };
    const all = { ...server, ...(failure ? { ServerErrors: [failure] } : {}), ClientInfo: client };
    if (flags.format) {
      line(flags.format === "json" ? goJson(all) : infoTemplate(flags.format, all));
    } else {
      out(clientText(cli) + (server ? serverText(server) : "\nServer:\n"));
    }
    if (server?.Warnings && !flags.format) err(server.Warnings.map((warning) => `${warning}\n`).join(""));
    if (failure !== undefined) {
      if (!flags.format) err(`${failure}\nerrors pretty printing info\n`);
      throw new CliError("");
    }
  },
});

function clientText(cli: Cli): string {
  const client = clientVersion(cli);
  return `Client:\n Version:    ${client.Version}\n Context:    ${client.Context}\n Debug Mode: ${cli.globals.debug ?? false}\n`;
}

function serverText(info: SystemInfo): string {
  const lines: string[] = ["", "Server:"];
  const add = (name: string, value: unknown, indent = " ") => lines.push(`${indent}${name}: ${value}`);
  const some = (name: string, value: unknown) => {
    if (value) add(name, value);
  };
  add("Containers", info.Containers);
  add("Running", info.ContainersRunning, "  ");
  add("Paused", info.ContainersPaused, "  ");
  add("Stopped", info.ContainersStopped, "  ");
  add("Images", info.Images);
  some("Server Version", info.ServerVersion);
  if (info.Driver) add("Storage Driver", info.Driver);
  for (const [name, value] of info.DriverStatus ?? []) lines.push(`  ${name}: ${value}`);
  some("Logging Driver", info.LoggingDriver);
  some("Cgroup Driver", info.CgroupDriver);
  some("Cgroup Version", info.CgroupVersion);
  lines.push(" Plugins:");
  add("Volume", (info.Plugins.Volume ?? []).join(" "), "  ");
  add("Network", (info.Plugins.Network ?? []).join(" "), "  ");
  if ((info.Plugins.Authorization ?? []).length > 0) add("Authorization", info.Plugins.Authorization!.join(" "), "  ");
  add("Log", (info.Plugins.Log ?? []).join(" "), "  ");
  if ((info.CDISpecDirs ?? []).length > 0) {
    lines.push(" CDI spec directories:", ...info.CDISpecDirs!.map((dir) => `  ${dir}`));
  }
  add("Swarm", info.Swarm.LocalNodeState);
  const runtimes = Object.keys(info.Runtimes ?? {}).sort();
  if (runtimes.length > 0) {
    add("Runtimes", runtimes.join(" "));
    add("Default Runtime", info.DefaultRuntime);
  }
  if (info.OSType === "linux") {
    add("Init Binary", info.InitBinary);
    for (const [name, commit] of [
      ["containerd", info.ContainerdCommit],
      ["runc", info.RuncCommit],
      ["init", info.InitCommit],
    ] as const) {
      add(`${name} version`, commit?.ID ?? "");
    }
    if ((info.SecurityOptions ?? []).length > 0) lines.push(...securityLines(info.SecurityOptions!));
  }
  some("Kernel Version", info.KernelVersion);
  some("Operating System", info.OperatingSystem);
  some("OSType", info.OSType);
  some("Architecture", info.Architecture);
  add("CPUs", info.NCPU);
  add("Total Memory", binarySize(info.MemTotal));
  some("Name", info.Name);
  some("ID", info.ID);
  add("Docker Root Dir", info.DockerRootDir);
  add("Debug Mode", info.Debug);
  if (info.Debug) {
    add("File Descriptors", info.NFd, "  ");
    add("Goroutines", info.NGoroutines, "  ");
    add("System Time", info.SystemTime, "  ");
    add("EventsListeners", info.NEventsListener, "  ");
  }
  some("HTTP Proxy", info.HttpProxy);
  some("HTTPS Proxy", info.HttpsProxy);
  some("No Proxy", info.NoProxy);
  if ((info.Labels ?? []).length > 0) lines.push(" Labels:", ...info.Labels!.map((label) => `  ${label}`));
  add("Experimental", info.ExperimentalBuild);
  const registry = info.RegistryConfig;
  if (registry) {
    const insecure = Object.values(registry.IndexConfigs ?? {}).filter(({ Secure }) => !Secure);
    const cidrs = registry.InsecureRegistryCIDRs ?? [];
    if (insecure.length + cidrs.length > 0) {
      lines.push(
        " Insecure Registries:",
        ...insecure.map(({ Name }) => `  ${Name}`),
        ...cidrs.map((cidr) => `  ${cidr}`),
      );
    }
    if ((registry.Mirrors ?? []).length > 0)
      lines.push(" Registry Mirrors:", ...registry.Mirrors!.map((mirror) => `  ${mirror}`));
  }
  add("Live Restore Enabled", info.LiveRestoreEnabled);
  some("Product License", info.ProductLicense);
  if ((info.DefaultAddressPools ?? []).length > 0) {
    lines.push(
      " Default Address Pools:",
      ...info.DefaultAddressPools!.map(({ Base, Size }) => `   Base: ${Base}, Size: ${Size}`),
    );
  }
  if (info.FirewallBackend) {
    add("Firewall Backend", info.FirewallBackend.Driver);
    for (const [name, value] of info.FirewallBackend.Info ?? []) lines.push(`  ${name}: ${value}`);
  }
  return `${lines.join("\n")}\n\n`;
}

function securityLines(options: readonly string[]): string[] {
  const lines = [" Security Options:"];
  for (const option of options) {
    const fields = option.split(",").map((field) => field.split("=") as [string, string?]);
    const name = fields.find(([key]) => key === "name")?.[1] ?? option;
    lines.push(`  ${name}`);
    for (const [key, value] of fields)
      if (key === "profile") lines.push(`   Profile: ${value === "default" ? "builtin" : value}`);
  }
  return lines;
}

function infoTemplate(format: string, all: object): string {
  try {
    return compileTemplate(unescapeFormat(format), { typed: true }).apply(all);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    out("\n");
    throw new CliError(
      error.message.replace(/map has no entry for key "(.*)"$/, "can't evaluate field $1 in type system.dockerInfo"),
    );
  }
}
