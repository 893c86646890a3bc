import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { bool } from "../flags.ts";
import { goJson } from "../format/go-print.ts";
import { indentJson } from "../format/json-indent.ts";
import { formatListing } from "../format/table.ts";
import { applyTemplate, unescapeFormat } from "../format/template-listing.ts";
import { listFormat, objectFormat } from "../options/format.ts";
import { line, out } from "../output.ts";

function contextDocument(cli: Cli) {
  return {
    Name: "default",
    Metadata: {},
    Endpoints: { docker: { Host: cli.host, SkipTLSVerify: false } },
    TLSMaterial: {},
    Storage: { MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>" },
  };
}

function known(name: string): void {
  if (name !== "default") throw new CliError(`context ${JSON.stringify(name)}: context not found`);
}

export const contextLs = defineCommand({
  usage: "[OPTIONS]",
  short: "List contexts",
  aliases: ["context ls", "context list"],
  flags: { format: listFormat(), quiet: bool("q", "Show names only") },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    const headers = {
      Name: "NAME",
      Description: "DESCRIPTION",
      DockerEndpoint: "DOCKER ENDPOINT",
      Current: "CURRENT",
      Error: "ERROR",
    };
    const fields = () => ({
      // The plain table marks the current one; a template asks for Current.
      Name: () =>
        flags.format === "" || flags.format === "table" ? (flags.quiet ? "default" : "default *") : "default",
      Description: () => "Current DOCKER_HOST based configuration",
      DockerEndpoint: () => cli.host,
      Current: () => true,
      Error: () => "",
    });
    out(
      await formatListing(
        {
          rows: [cli.host],
          fields,
          headers,
          columns: ["Name", "Description", "DockerEndpoint", "Error"],
          key: "Name",
          type: "*formatter.ClientContext",
        },
        flags.format,
        flags.quiet,
      ),
    );
  },
});

export const contextShow = defineCommand({
  usage: "",
  short: "Print the name of the current context",
  flags: {},
  arity: { exactly: 0 },
  run: async () => line("default"),
});

export const contextInspect = defineCommand({
  usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
  short: "Show all that is known of contexts",
  flags: { format: objectFormat() },
  arity: { atLeast: 0 },
  async run({ cli, flags, args }) {
    for (const name of args) known(name);
    const documents = (args.length > 0 ? args : ["default"]).map(() => contextDocument(cli));
    if (!flags.format) line(indentJson(goJson(documents)));
    else if (flags.format === "json") line(goJson(documents));
    else for (const text of applyTemplate(unescapeFormat(flags.format), documents)) line(text);
  },
});

export const contextUse = defineCommand({
  usage: "CONTEXT",
  short: "Choose the current context",
  flags: {},
  arity: { exactly: 1 },
  async run({ args }) {
    known(args[0]!);
    line("default");
  },
});
