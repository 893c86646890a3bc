import type { SearchResult } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { credentialsFor, DEFAULT_REGISTRY } from "../credentials.ts";
import { bool, int } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { ellipsis } from "../format/text.ts";
import { filterFlag } from "../options/filters.ts";
import { listFormat } from "../options/format.ts";
import { out } from "../output.ts";

export const search = defineCommand({
  usage: "[OPTIONS] TERM",
  short: "Search a registry for images",
  flags: {
    filter: filterFlag("f", "Show only what fits conditions"),
    format: listFormat(),
    limit: int("", "Most results to show"),
    "no-trunc": bool("", "Do not shorten anything"),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    const term = args[0]!;
    const slash = term.indexOf("/");
    const domain = slash > 0 && /[.:]/.test(term.slice(0, slash)) ? term.slice(0, slash) : DEFAULT_REGISTRY;
    const auth = credentialsFor(cli.configDir, domain);
    const rows = await cli.docker.images.search(term, {
      limit: flags.limit,
      filters: flags.filter,
      ...(auth ? { auth } : {}),
    });
    const fields = (hit: SearchResult) => ({
      Name: () => hit.name,
      Description: () => {
        const text = hit.description.replaceAll(/[\n\r]/g, " ");
        return flags["no-trunc"] ? text : ellipsis(text, 45);
      },
      StarCount: () => String(hit.star_count),
      IsOfficial: () => (hit.is_official ? "[OK]" : ""),
      IsAutomated: () => (hit.is_automated ? "[OK]" : ""),
    });
    const headers = {
      Name: "NAME",
      Description: "DESCRIPTION",
      StarCount: "STARS",
      IsOfficial: "OFFICIAL",
      IsAutomated: "AUTOMATED",
    };
    const columns = ["Name", "Description", "StarCount", "IsOfficial"];
    out(
      await formatListing(
        { rows, fields, headers, columns, key: "Name", type: "*formatter.searchContext" },
        flags.format,
      ),
    );
  },
});
