import type { ImageSummary } from "@gantry/spec";
import { familiarName, matchesReference, parseReference, type Reference } from "@gantry/spec/reference";
import { defineCommand } from "../command.ts";
import { readConfig } from "../credentials.ts";
import { bool } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { alignColumns } from "../format/tabwriter.ts";
import { shortId } from "../format/text.ts";
import { goTime, humanDuration, humanSize } from "../format/units.ts";
import { filterFlag } from "../options/filters.ts";
import { listFormat } from "../options/format.ts";
import { out } from "../output.ts";

interface Line {
  image: ImageSummary;
  repository: string;
  tag: string;
  digest: string;
}

const headers: Record<string, string> = {
  ID: "IMAGE ID",
  Repository: "REPOSITORY",
  Tag: "TAG",
  Digest: "DIGEST",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  Size: "SIZE",
  Containers: "CONTAINERS",
  VirtualSize: "VIRTUAL SIZE",
  SharedSize: "SHARED SIZE",
  UniqueSize: "UNIQUE SIZE",
};

export const images = defineCommand({
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  short: "List images",
  aliases: ["image ls", "image list", "images"],
  flags: {
    all: bool("a", "Show all images, not just those at the end of a chain"),
    digests: bool("", "Show digests"),
    filter: filterFlag("f", "Show only what fits conditions"),
    format: listFormat(),
    "no-trunc": bool("", "Do not shorten anything"),
    quiet: bool("q", "Show IDs only"),
    tree: bool("", "Show images of several platforms as a tree"),
  },
  arity: { atMost: 1 },
  async run({ cli, flags, args }) {
    const filters = args[0]
      ? { ...flags.filter, reference: [...(flags.filter.reference ?? []), args[0]] }
      : flags.filter;
    const list = await cli.docker.images.list({ all: flags.all, filters, ...(flags.tree ? { manifests: true } : {}) });
    if (flags.tree) {
      out(imageTree(list));
      return;
    }
    const format = flags.format || (flags.quiet ? "" : (readConfig(cli.configDir).imagesFormat ?? ""));
    const wanted = filters.reference ?? [];
    const rows = list.flatMap((image) => imageLines(image, flags.digests, wanted));
    const columns = ["Repository", "Tag", ...(flags.digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"];
    out(
      await formatListing(
        {
          rows,
          fields: (row) => imageFields(row, !flags["no-trunc"]),
          headers,
          columns,
          key: "ID",
          type: "*formatter.imageContext",
        },
        format,
        flags.quiet,
      ),
    );
  },
});

/** One line for each tag; with digests, one for each pair of tag and digest; `<none>` where there is no name. */
export function imageLines(image: ImageSummary, digests: boolean, wanted: readonly string[] = []): Line[] {
  const none = "<none>";
  const tags = new Map<string, string[]>();
  const byDigest = new Map<string, string[]>();
  const fits = (reference: Reference) => wanted.length === 0 || wanted.some((pattern) => safeMatch(pattern, reference));
  for (const text of image.RepoTags ?? []) {
    const reference = tryParse(text);
    if (reference?.tag && fits(reference)) add(tags, familiarName(reference), reference.tag);
  }
  for (const text of image.RepoDigests ?? []) {
    const reference = tryParse(text);
    if (reference?.digest) add(byDigest, familiarName(reference), reference.digest);
  }
  const lines: Line[] = [];
  for (const [repository, names] of tags) {
    const known = byDigest.get(repository) ?? [];
    byDigest.delete(repository);
    for (const tag of names) {
      if (!digests || known.length === 0) lines.push({ image, repository, tag, digest: none });
      else for (const digest of known) lines.push({ image, repository, tag, digest });
    }
  }
  for (const [repository, known] of byDigest) {
    if (!digests) lines.push({ image, repository, tag: none, digest: none });
    else for (const digest of known) lines.push({ image, repository, tag: none, digest });
  }
  if (lines.length === 0) lines.push({ image, repository: none, tag: none, digest: none });
  return lines;
}

function imageFields({ image, repository, tag, digest }: Line, truncate: boolean) {
  const optional = (size: number, shown = humanSize(size, 3)) => (size === -1 ? "N/A" : shown);
  return {
    ID: () => (truncate ? shortId(image.Id) : image.Id),
    Repository: () => repository,
    Tag: () => tag,
    Digest: () => digest,
    CreatedSince: () => (image.Created <= 0 ? "N/A" : `${humanDuration(Date.now() - image.Created * 1000)} ago`),
    CreatedAt: () => goTime(image.Created),
    Size: () => humanSize(image.Size, 3),
    Containers: () => optional(image.Containers, String(image.Containers)),
    VirtualSize: () => humanSize(image.Size),
    SharedSize: () => optional(image.SharedSize),
    UniqueSize: () =>
      image.SharedSize === -1 || image.Size === -1 ? "N/A" : humanSize(image.Size - image.SharedSize, 3),
  };
}

function imageTree(list: readonly ImageSummary[]): string {
  let text = "IMAGE\tID\tDISK USAGE\tCONTENT SIZE\tIN USE\n";
  for (const image of list) {
    const names = (image.RepoTags ?? []).filter((name) => name !== "<none>:<none>");
    for (const name of names.slice(0, -1)) text += `${name}\n`;
    const content = (image.Manifests ?? []).reduce((sum, manifest) => sum + (manifest.Size?.Content ?? 0), 0);
    const used =
      image.Containers > 0 ||
      (image.Manifests ?? []).some((manifest) => (manifest.ImageData?.Containers ?? []).length > 0);
    text += `${names.at(-1) ?? "<untagged>"}\t${shortId(image.Id)}\t${humanSize(image.Size, 3)}\t${humanSize(content, 3)}\t${used ? "U" : ""}\n`;
    const parts = (image.Manifests ?? []).filter(({ Kind }) => Kind === "image");
    for (const [i, { ID, ImageData, Size, Available }] of parts.entries()) {
      const platform = ImageData?.Platform;
      const name = platform
        ? [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/")
        : "unknown";
      const branch = i === parts.length - 1 ? "└─" : "├─";
      text += `${branch} ${name}\t${shortId(ID)}\t${humanSize(Available ? Size.Total : 0, 3)}\t${humanSize(Size.Content, 3)}\t${(ImageData?.Containers ?? []).length > 0 ? "U" : ""}\n`;
    }
  }
  return alignColumns(text);
}

function add(map: Map<string, string[]>, key: string, item: string): void {
  map.set(key, [...(map.get(key) ?? []), item]);
}

function tryParse(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

function safeMatch(pattern: string, reference: Reference): boolean {
  try {
    return matchesReference(pattern, reference);
  } catch {
    return false;
  }
}
