import type { HistoryResponseItem } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { bool, str } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { ellipsis, shortId } from "../format/text.ts";
import { humanDuration, humanSize, rfc3339 } from "../format/units.ts";
import { listFormat } from "../options/format.ts";
import { parsePlatform } from "../options/platform.ts";
import { out } from "../output.ts";

const headers: Record<string, string> = {
  ID: "IMAGE",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  CreatedBy: "CREATED BY",
  Size: "SIZE",
  Comment: "COMMENT",
};

export const history = defineCommand({
  usage: "[OPTIONS] IMAGE",
  short: "Show the steps an image was made in",
  aliases: ["image history", "history"],
  flags: {
    format: listFormat(),
    human: bool("H", "Print sizes and times in words", true),
    "no-trunc": bool("", "Do not shorten anything"),
    platform: str("", 'Show one platform ("os[/arch[/variant]]", e.g., "linux/amd64")'),
    quiet: bool("q", "Show IDs only"),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    const rows = await cli.docker.images.history(args[0]!, {
      ...(flags.platform ? { platform: parsePlatform(flags.platform) } : {}),
    });
    const fields = (item: HistoryResponseItem) => {
      const created = () => (item.Created <= 0 ? "N/A" : rfc3339(item.Created));
      return {
        ID: () => (flags["no-trunc"] ? item.Id : shortId(item.Id)),
        CreatedAt: created,
        CreatedSince: () =>
          flags.human
            ? item.Created <= 0
              ? "N/A"
              : `${humanDuration(Date.now() - item.Created * 1000)} ago`
            : created(),
        CreatedBy: () => {
          const text = item.CreatedBy.replaceAll("\t", " ");
          return flags["no-trunc"] ? text : ellipsis(text, 45);
        },
        Size: () => (flags.human ? humanSize(item.Size, 3) : String(item.Size)),
        Comment: () => item.Comment,
      };
    };
    const columns = ["ID", flags.human ? "CreatedSince" : "CreatedAt", "CreatedBy", "Size", "Comment"];
    out(
      await formatListing(
        { rows, fields, headers, columns, key: "ID", type: "*formatter.historyContext" },
        flags.format,
        flags.quiet,
      ),
    );
  },
});
