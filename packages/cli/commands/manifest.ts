import type { ListClient, ListEntry, ResolvedEntry } from "@gantry/distribution/lists";
import {
  familiarString,
  parseReference,
  type Reference,
  referenceString,
  withDefaultTag,
} from "@gantry/spec/reference";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { credentialsFor, registryKey } from "../credentials.ts";
import { CliError } from "../errors.ts";
import { bool, list, str } from "../flags.ts";
import { line } from "../output.ts";

/** Docker Hub and loopback need no word; `--insecure` stands for the registry in hand. */
async function open(cli: Cli, insecure: boolean, references: Reference[]): Promise<ListClient> {
  const { openListClient } = await import("@gantry/distribution/lists");
  return openListClient({
    insecureRegistries: insecure ? references.map(({ domain }) => domain) : [],
    credentials: (domain) => credentialsFor(cli.configDir, registryKey(domain)) as Record<string, unknown> | undefined,
  });
}

async function files(cli: Cli) {
  const { ListFiles } = await import("@gantry/distribution/lists");
  return new ListFiles(cli.configDir);
}

const parse = (text: string): Reference => withDefaultTag(parseReference(text));
const raw = (entry: ListEntry) =>
  JSON.parse(Buffer.from(entry.raw, "base64").toString("utf8")) as Record<string, unknown>;

export const manifestInspect = defineCommand({
  usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
  short: "Show an image's manifest, or a manifest list",
  flags: {
    insecure: bool("", "Talk to a registry without verified TLS"),
    verbose: bool("v", "Show layers and platform too"),
  },
  arity: { between: [1, 2] },
  async run({ cli, flags, args }) {
    const [listName, name] = args.length === 2 ? [args[0]!, args[1]!] : [undefined, args[0]!];
    const reference = parse(name);
    const local = await files(cli);
    if (listName !== undefined) {
      const entries = await local.read(referenceString(parse(listName)));
      const entry = entries?.find((one) => one.reference === referenceString(reference));
      if (!entry) throw new CliError(`No such manifest: ${name}`);
      line(flags.verbose ? JSON.stringify(described(entry), null, "\t") : JSON.stringify(raw(entry), null, "\t"));
      return;
    }
    const entries = await local.read(referenceString(reference));
    if (entries) {
      if (flags.verbose) line(JSON.stringify(entries.map(described), null, "\t"));
      else line(JSON.stringify(listOf(entries), null, 3));
      return;
    }
    const client = await open(cli, flags.insecure, [reference]);
    const found = await client.resolve(reference).catch((error: Error) => {
      throw / not found: /.test(error.message) ? new CliError(`no such manifest: ${familiarString(reference)}`) : error;
    });
    const { manifest } = found;
    if (!flags.verbose) {
      const json: unknown = JSON.parse(Buffer.from(manifest.bytes).toString("utf8"));
      line(JSON.stringify(json, null, manifest.kind === "index" ? 3 : "\t"));
    } else if (manifest.kind === "index") {
      const all = await client.resolveAll(reference, manifest.index);
      line(
        JSON.stringify(
          all.map((one) => described(entryOf(digested(reference, one), one))),
          null,
          "\t",
        ),
      );
    } else {
      line(JSON.stringify(described(entryOf(referenceString(reference), found)), null, "\t"));
    }
  },
});

export const manifestCreate = defineCommand({
  usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
  short: "Begin a manifest list here, to be annotated and pushed",
  flags: {
    amend: bool("a", "Add to a list that is there already"),
    insecure: bool("", "Talk to a registry without verified TLS"),
  },
  arity: { atLeast: 2 },
  async run({ cli, flags, args }) {
    const target = parse(args[0]!);
    const name = referenceString(target);
    const local = await files(cli);
    if ((await local.read(name)) && !flags.amend) {
      throw new CliError("refusing to amend an existing manifest list with no --amend flag");
    }
    const references = args.slice(1).map(parse);
    const client = await open(cli, flags.insecure, references);
    const found: ListEntry[] = [];
    for (const reference of references) {
      const resolved = await client.resolve(reference);
      if (resolved.manifest.kind === "index") throw new CliError(`${familiarString(reference)} is a manifest list`);
      found.push(entryOf(referenceString(reference), resolved));
    }
    // Only written once all are known to be there.
    for (const entry of found) await local.write(name, entry);
    line(`Created manifest list ${name}`);
  },
});

export const manifestAnnotate = defineCommand({
  usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
  short: "Say more about a manifest of a list that is here",
  flags: {
    arch: str("", "Set architecture"),
    os: str("", "Set operating system"),
    "os-features": list("", "Set operating system feature"),
    "os-version": str("", "Set operating system version"),
    variant: str("", "Set architecture variant"),
  },
  arity: { exactly: 2 },
  async run({ cli, flags, args }) {
    const name = referenceString(parse(args[0]!));
    const reference = referenceString(parse(args[1]!));
    const local = await files(cli);
    const entries = await local.read(name);
    if (!entries) throw new CliError(`manifest for list ${name} does not exist`);
    const entry = entries.find((one) => one.reference === reference);
    if (!entry) throw new CliError(`manifest for image ${reference} does not exist in ${name}`);
    const platform = { architecture: "", os: "", ...entry.descriptor.platform };
    if (flags.os) platform.os = flags.os;
    if (flags.arch) platform.architecture = flags.arch;
    if (flags.variant) platform.variant = flags.variant;
    if (flags["os-version"]) platform["os.version"] = flags["os-version"];
    const features = flags["os-features"];
    if (features.length > 0) platform["os.features"] = [...new Set([...(platform["os.features"] ?? []), ...features])];
    if (!KNOWN.has(`${platform.os}/${platform.architecture}`)) {
      throw new CliError(
        "manifest entry for image has unsupported os/arch combination: " + `${platform.os}/${platform.architecture}`,
      );
    }
    await local.write(name, { ...entry, descriptor: { ...entry.descriptor, platform } });
  },
});

export const manifestPush = defineCommand({
  usage: "[OPTIONS] MANIFEST_LIST",
  short: "Put a manifest list into a registry",
  flags: {
    insecure: bool("", "Talk to a registry without verified TLS"),
    purge: bool("p", "Remove the list here afterwards"),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    const target = parse(args[0]!);
    const name = referenceString(target);
    const local = await files(cli);
    const entries = await local.read(name);
    if (!entries || entries.length === 0) throw new CliError(`${name} not found`);
    for (const { reference, descriptor } of entries) {
      const { os = "", architecture = "" } = descriptor.platform ?? {};
      if (os && architecture) continue;
      throw new CliError(`manifest ${reference} must have an OS and Architecture to be pushed to a registry`);
    }
    const client = await open(cli, flags.insecure, [target]);
    const pushed = entries.map(({ reference, descriptor, raw: text }) => ({
      reference: parseReference(reference),
      descriptor,
      manifest: Buffer.from(text, "base64"),
    }));
    const digest = await client.push(target, pushed, (entry, from) => {
      line(`Pushed ref ${from}@${entry} with digest: ${entry}`);
    });
    if (flags.purge) await local.remove(name);
    line(digest);
  },
});

export const manifestRm = defineCommand({
  usage: "MANIFEST_LIST [MANIFEST_LIST...]",
  short: "Remove manifest lists from here",
  flags: {},
  arity: { atLeast: 1 },
  async run({ cli, args }) {
    const local = await files(cli);
    const missing: string[] = [];
    for (const arg of args) {
      if (!(await local.remove(referenceString(parse(arg))))) missing.push(`No such manifest: ${arg}`);
    }
    if (missing.length > 0) throw new CliError(missing.join("\n"));
  },
});

const KNOWN = new Set(
  `darwin/386 darwin/amd64 darwin/arm darwin/arm64 dragonfly/amd64 freebsd/386 freebsd/amd64 freebsd/arm linux/386
   linux/amd64 linux/arm linux/arm64 linux/ppc64le linux/mips64 linux/mips64le linux/riscv64 linux/s390x linux/loong64
   netbsd/386 netbsd/amd64 netbsd/arm openbsd/386 openbsd/amd64 openbsd/arm plan9/386 plan9/amd64 solaris/amd64
   windows/386 windows/amd64 windows/arm64`.split(/\s+/),
);

function digested(reference: Reference, { manifest }: ResolvedEntry): string {
  return `${referenceString({ domain: reference.domain, path: reference.path })}@${manifest.descriptor.digest}`;
}

function entryOf(reference: string, { manifest, platform }: ResolvedEntry): ListEntry {
  return {
    reference,
    descriptor: { ...manifest.descriptor, ...(platform ? { platform } : {}) },
    raw: Buffer.from(manifest.bytes).toString("base64"),
  };
}

/** What `--verbose` shows of one manifest. */
function described(entry: ListEntry): Record<string, unknown> {
  const kind = entry.descriptor.mediaType.includes("vnd.oci.") ? "OCIManifest" : "SchemaV2Manifest";
  return { Ref: entry.reference, Descriptor: entry.descriptor, Raw: entry.raw, [kind]: raw(entry) };
}

function listOf(entries: readonly ListEntry[]): Record<string, unknown> {
  return {
    schemaVersion: 2,
    mediaType: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifests: entries.map(({ descriptor: { mediaType, size, digest, platform } }) => ({
      mediaType,
      size,
      digest,
      platform,
    })),
  };
}
