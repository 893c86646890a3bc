import { API_VERSION } from "@gantry/client";
import type { SystemVersion } from "@gantry/spec";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { goJson } from "../format/go-print.ts";
import { applyTemplate, unescapeFormat } from "../format/template-listing.ts";
import { objectFormat } from "../options/format.ts";
import { err, line, out } from "../output.ts";
import { BUILD_TIME, COMMIT, VERSION } from "../version.ts";

export const version = defineCommand({
  usage: "[OPTIONS]",
  short: "Show versions of client and engine",
  flags: { format: objectFormat() },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    let server: SystemVersion | undefined;
    let failure: string | undefined;
    try {
      server = await cli.docker.system.version();
    } catch (error) {
      failure = errorText(error);
    }
    const client = clientVersion(cli);
    if (flags.format === "json") line(goJson({ Client: client, Server: server ?? null }));
    else if (flags.format)
      line(
        applyTemplate(unescapeFormat(flags.format), [
          { Client: client, ...(server ? { Server: serverFields(server) } : { Server: null }) },
        ])[0]!,
      );
    else out(text(client, server));
    if (failure !== undefined) {
      err(`${failure}\n`);
      throw new CliError("");
    }
  },
});

/** What this client says of itself. */
export function clientVersion(cli: Cli) {
  return {
    Version: VERSION,
    ApiVersion: cli.docker.apiVersion,
    APIVersion: cli.docker.apiVersion,
    DefaultAPIVersion: API_VERSION,
    GitCommit: COMMIT,
    GoVersion: `bun ${process.versions.bun ?? ""}`.trim(),
    Os: process.platform,
    Arch: process.arch === "x64" ? "amd64" : process.arch,
    BuildTime: buildTime(BUILD_TIME),
    Context: cli.globals.context ?? "default",
  };
}

function serverFields(server: SystemVersion) {
  // Go's templates know the field by this name.
  return { ...server, APIVersion: server.ApiVersion };
}

function text(client: ReturnType<typeof clientVersion>, server: SystemVersion | undefined): string {
  const row = (indent: string, name: string, value: string, width: number) =>
    `${indent}${`${name}:`.padEnd(width)}${value}\n`;
  let all = "Client:\n";
  for (const [name, value] of [
    ["Version", client.Version],
    [
      "API version",
      client.ApiVersion +
        (client.ApiVersion === client.DefaultAPIVersion ? "" : ` (downgraded from ${client.DefaultAPIVersion})`),
    ],
    ["Go version", client.GoVersion],
    ["Git commit", client.GitCommit],
    ["Built", client.BuildTime],
    ["OS/Arch", `${client.Os}/${client.Arch}`],
    ["Context", client.Context],
  ] as const) {
    all += row(" ", name, value, 19);
  }
  if (!server) return all;
  const platform = server.Platform?.Name ? ` ${server.Platform.Name}` : "";
  all += `\nServer:${platform}\n`;
  for (const component of server.Components ?? []) {
    const details = component.Details ?? {};
    all += ` ${component.Name}:\n`;
    all += row("  ", "Version", component.Version, 18);
    if (component.Name === "Engine") {
      const api = `${details.ApiVersion ?? ""}${details.MinAPIVersion ? ` (minimum version ${details.MinAPIVersion})` : ""}`;
      all += row("  ", "API version", api, 18);
      all += row("  ", "Go version", details.GoVersion ?? "", 18);
      all += row("  ", "Git commit", details.GitCommit ?? "", 18);
      all += row("  ", "Built", buildTime(details.BuildTime ?? ""), 18);
      all += row("  ", "OS/Arch", `${details.Os ?? ""}/${details.Arch ?? ""}`, 18);
      all += row("  ", "Experimental", details.Experimental ?? "false", 18);
      continue;
    }
    for (const name of Object.keys(details).sort()) all += row("  ", name, details[name]!, 18);
  }
  return all;
}

/** RFC 3339 as the C library writes times, in UTC: `Tue Sep 15 11:02:57 2026`. */
function buildTime(text: string): string {
  const date = new Date(text);
  if (!/^\d{4}-/.test(text) || Number.isNaN(date.getTime())) return text;
  const [day, month] = [date.toUTCString().slice(0, 3), date.toUTCString().slice(8, 11)];
  return `${day} ${month} ${String(date.getUTCDate()).padStart(2)} ${date.toISOString().slice(11, 19)} ${date.getUTCFullYear()}`;
}
