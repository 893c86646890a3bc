import { ApiError } from "@gantry/client";
import type { Cli } from "../cli.ts";
import { type Command, defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { indentJson } from "../format/json-indent.ts";
import { unescapeFormat } from "../format/template-listing.ts";
import { objectFormat } from "../options/format.ts";
import { parsePlatform } from "../options/platform.ts";
import { out } from "../output.ts";

type Fetch = (name: string) => Promise<string>;

/** Prints objects as the engine tells of them, or as a template says; failures come after what was found. */
async function printObjects(names: readonly string[], format: string, fetch: Fetch): Promise<void> {
  const found: string[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push((await fetch(name)).trim());
    } catch (error) {
      failures.push(errorText(error));
    }
  }
  if (!format) {
    out(found.length > 0 ? `${indentJson(`[${found.join(",")}]`)}\n` : "[]\n");
  } else if (format === "json") {
    out(`[${found.join(",")}]\n`);
  } else {
    out(found.length > 0 ? await applyToObjects(format, found) : "\n");
  }
  if (failures.length > 0) throw new CliError(failures.join("\n"));
}

async function applyToObjects(format: string, documents: readonly string[]): Promise<string> {
  const { compileTemplate, TemplateError } = await import("../format/template.ts");
  let template: import("../format/template.ts").Template;
  try {
    template = compileTemplate(unescapeFormat(format), { typed: true });
  } catch (error) {
    if (error instanceof TemplateError) throw new CliError(`template parsing error: ${error.message}`, 64);
    throw error;
  }
  let text = "";
  for (const document of documents) {
    try {
      text += `${template.apply(JSON.parse(document))}\n`;
    } catch (error) {
      out(text === "" ? "\n" : text);
      throw new CliError(`template parsing error: ${(error as Error).message}`);
    }
  }
  return text;
}

export const inspect = defineCommand({
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  short: "Show all the engine knows of an object",
  flags: {
    format: objectFormat(),
    size: bool("s", "Show sizes of containers"),
    type: str("", "Look for objects of this type only"),
  },
  arity: { atLeast: 1 },
  run: async ({ cli, flags, changed, args }) => {
    if (changed.has("type") && !flags.type) {
      throw new CliError(
        `type is empty: must be one of "config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"`,
      );
    }
    const kinds = fetchers(cli, flags.size);
    if (flags.type && !Object.hasOwn(kinds, flags.type)) {
      throw new CliError(
        `unknown type: ${JSON.stringify(flags.type)}: must be one of "config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"`,
      );
    }
    const wanted = flags.type ? [flags.type] : Object.keys(kinds);
    await printObjects(args, flags.format, async (name) => {
      for (const kind of wanted) {
        try {
          return await kinds[kind]!(name);
        } catch (error) {
          if (wanted.length === 1) throw error;
          if (error instanceof ApiError && error.status === 404) continue;
          // A name that cannot be an image's may still be another object's.
          if (error instanceof ApiError && error.status === 400) continue;
          throw error;
        }
      }
      throw new CliError(`Error: No such object: ${name}`);
    });
  },
});

function fetchers(cli: Cli, size: boolean): Record<string, Fetch> {
  const { docker } = cli;
  return {
    container: (name) => docker.containers.inspectText(name, { size }),
    image: (name) => docker.images.inspectText(name),
    network: (name) => docker.networks.inspectText(name),
    volume: (name) => docker.volumes.inspectText(name),
    plugin: (name) => docker.text("GET", `/plugins/${encodeURIComponent(name)}/json`),
  };
}

function ofKind(usage: string, short: string, kind: string): Command {
  return defineCommand({
    usage,
    short,
    flags: { format: objectFormat(), ...(kind === "container" ? { size: bool("s", "Show sizes") } : {}) },
    arity: { atLeast: 1 },
    run: ({ cli, flags, args }) =>
      printObjects(args, flags.format, fetchers(cli, (flags as { size?: boolean }).size ?? false)[kind]!),
  });
}

export const inspectContainer = ofKind(
  "[OPTIONS] CONTAINER [CONTAINER...]",
  "Show all the engine knows of containers",
  "container",
);
export const inspectVolume = ofKind("[OPTIONS] VOLUME [VOLUME...]", "Show all the engine knows of volumes", "volume");

export const inspectImage = defineCommand({
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Show all the engine knows of images",
  flags: { format: objectFormat(), platform: str("", 'Platform to show ("os[/arch[/variant]]", e.g., "linux/amd64")') },
  arity: { atLeast: 1 },
  run: ({ cli, flags, args }) => {
    const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
    return printObjects(args, flags.format, (name) =>
      cli.docker.images.inspectText(name, { ...(platform ? { platform } : {}) }),
    );
  },
});

export const inspectNetwork = defineCommand({
  usage: "[OPTIONS] NETWORK [NETWORK...]",
  short: "Show all the engine knows of networks",
  flags: { format: objectFormat(), verbose: bool("v", "Show more, for diagnosis") },
  arity: { atLeast: 1 },
  run: ({ cli, flags, args }) =>
    printObjects(args, flags.format, (name) => cli.docker.networks.inspectText(name, { verbose: flags.verbose })),
});
