import { type Credentials, decodeRegistryAuth } from "@gantry/distribution";
import { Filters, type Images, importMessage, openUrl } from "@gantry/engine";
import { invalidParameter, notFound, parseJson, systemError } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Context, type Route, route } from "../http/index.ts";
import { inspectFor, listEntryFor } from "./images-versions.ts";
import { platformParameter } from "./platforms.ts";
import { progressStream } from "./progress.ts";

const text = Type.Optional(Type.String());
const flag = Type.Optional(Type.Boolean());
const texts = Type.Optional(Type.Array(Type.String()));
const query = <T extends Record<string, typeof text | typeof flag | typeof texts>>(fields: T) => Type.Object(fields);

/** `/images`: everything about images but building them. */
export function imageRoutes(images: Images): Route[] {
  return [
    route(
      "GET",
      "/images/json",
      {
        query: query({ all: flag, filters: text, "shared-size": flag, digests: flag, manifests: flag, identity: flag }),
      },
      async (context) => {
        const { query } = context;
        // Nothing here is verified by signatures: there is no identity to tell of.
        if (context.api >= 54 && query.identity && !query.manifests) {
          throw invalidParameter("conflicting options: identity requires manifests=1");
        }
        const list = await images.list({
          all: query.all,
          filters: Filters.parse(query.filters),
          sharedSize: query["shared-size"] && context.api >= 42,
          containers: context.api >= 51,
          manifests: query.manifests && context.api >= 47,
        });
        context.json(list.map((image) => listEntryFor(image, context.api)));
      },
    ),
    route(
      "POST",
      "/images/create",
      {
        query: query({
          fromImage: text,
          fromSrc: text,
          repo: text,
          tag: text,
          message: text,
          platform: text,
          changes: texts,
        }),
      },
      (context) => create(images, context),
    ),
    route("POST", "/images/load", { query: query({ quiet: flag, platform: texts }) }, (context) => {
      const source = context.exchange.body.stream();
      const { quiet } = context.query;
      const platform = platformParameter(context.query.platform);
      return progressStream(
        context,
        (emit) => images.load({ source, quiet, platform, signal: context.signal }, emit),
        true,
      );
    }),
    route("GET", "/images/get", { query: query({ names: texts, platform: texts }) }, (context) => {
      // Older clients send several names in one value.
      const names = (context.query.names ?? []).flatMap((value) => value.split(",")).filter(Boolean);
      if (names.length === 0) throw invalidParameter("no image names given");
      return save(images, context, names, platformParameter(context.query.platform));
    }),
    route("GET", "/images/search", { query: query({ term: text, limit: text, filters: text }) }, async (context) => {
      const { term = "", limit, filters } = context.query;
      if (limit !== undefined && limit !== "" && !/^-?\d{1,9}$/.test(limit)) {
        throw invalidParameter(
          `invalid limit specified: strconv.Atoi: parsing ${JSON.stringify(limit)}: invalid syntax`,
        );
      }
      const options = { limit: Number(limit) || undefined, credentials: anyAuth(context), signal: context.signal };
      context.json(await images.search(term, Filters.parse(filters), options));
    }),
    route("POST", "/images/prune", { query: query({ filters: text }) }, async (context) => {
      context.json(await images.prune(Filters.parse(context.query.filters)));
    }),
    route("GET", "/images/{name:.*}/get", { query: query({ platform: texts }) }, (context) =>
      save(images, context, [nameOf(context)], platformParameter(context.query.platform)),
    ),
    route("GET", "/images/{name:.*}/json", { query: query({ manifests: flag, platform: text }) }, async (context) => {
      const manifests = context.query.manifests && context.api >= 48;
      const platform = context.api >= 49 ? platformParameter(context.query.platform) : undefined;
      if (manifests && platform !== undefined) {
        throw invalidParameter("conflicting options: manifests and platform options cannot both be set");
      }
      const image = await images.inspect(nameOf(context), { manifests, platform });
      context.json(inspectFor(image, context.api));
    }),
    route(
      "GET",
      "/images/{name:.*}/attestations",
      { query: query({ platform: texts, type: texts, statement: flag }) },
      async (context) => {
        if (context.api < 55) throw notFound("page not found");
        const { platform, type = [], statement } = context.query;
        const one = platformParameter(platform, "only one platform value is currently supported");
        const types = type.map((each) => each.trim()).filter(Boolean);
        const found = await images.attestations(nameOf(context), { platform: one, types });
        if (!statement) return context.json(found);
        // Word for word: whoever verifies a signature needs the very numbers.
        const whole: string[] = [];
        for (const each of found) {
          const text = await images.attestationText(each);
          whole.push(`${JSON.stringify(each).slice(0, -1)},"Statement":${verbatim(text)}}`);
        }
        context.send(200, { "Content-Type": "application/json" }, `[${whole.join(",")}]\n`);
      },
    ),
    route("GET", "/images/{name:.*}/history", { query: query({ platform: text }) }, async (context) => {
      const platform = context.api >= 48 ? platformParameter(context.query.platform) : undefined;
      context.json(await images.history(nameOf(context), platform));
    }),
    route("POST", "/images/{name:.*}/push", { query: query({ tag: text, platform: text }) }, async (context) => {
      const { tag } = context.query;
      const platform = context.api >= 46 ? platformParameter(context.query.platform) : undefined;
      const request = { image: nameOf(context), tag, platform, credentials: anyAuth(context), signal: context.signal };
      await images.checkPush(request);
      return progressStream(context, (emit) => images.push({ ...request, all: !tag }, emit));
    }),
    route("POST", "/images/{name:.*}/tag", { query: query({ repo: text, tag: text }) }, (context) => {
      images.tag(nameOf(context), context.query.repo ?? "", context.query.tag ?? "");
      context.empty(201);
    }),
    route(
      "DELETE",
      "/images/{name:.*}",
      { query: query({ force: flag, noprune: flag, platforms: texts }) },
      async (context) => {
        const { force, noprune } = context.query;
        const name = nameOf(context);
        if (name.trim() === "") throw invalidParameter("image name cannot be blank");
        const platform =
          context.api >= 50
            ? platformParameter(context.query.platforms, "multiple platforms are not supported")
            : undefined;
        const options = { force, prune: !noprune };
        context.json(platform ? await images.removePlatform(name, platform, options) : images.remove(name, options));
      },
    ),
  ];
}

/** JSON as it is, once it is known to be JSON. */
function verbatim(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    throw systemError("failed to read attestation statement: it is no JSON", error);
  }
  return text;
}

function nameOf(context: { params: Record<string, string> }): string {
  return context.params["name"] ?? "";
}

type CreateContext = Context<
  {
    fromImage?: string;
    fromSrc?: string;
    repo?: string;
    tag?: string;
    message?: string;
    platform?: string;
    changes?: string[];
  },
  undefined
>;

async function create(images: Images, context: CreateContext): Promise<void> {
  const { fromImage, fromSrc, repo: repository, tag, platform, changes = [] } = context.query;
  const { signal } = context;
  if (fromImage) {
    const request = { image: fromImage, tag, platform, credentials: anyAuth(context), signal, all: !tag };
    return progressStream(context, (emit) => images.pull(request, emit));
  }
  if (!fromSrc) throw invalidParameter("either fromImage or fromSrc must be given");
  const message = context.query.message || importMessage(fromSrc);
  return progressStream(context, async (emit) => {
    const source = fromSrc === "-" ? context.exchange.body.stream() : await openUrl(fromSrc, emit, signal);
    emit({ status: await images.import({ source, repository, tag, message, changes, platform, signal }) });
  });
}

async function save(
  images: Images,
  context: Pick<Context, "stream">,
  names: string[],
  platform: string | undefined,
): Promise<void> {
  const archive = await images.save(names, { platform });
  const stream = context.stream({ "Content-Type": "application/x-tar" });
  await stream.pipe(archive as AsyncIterable<Uint8Array>);
}

/** Credentials that may be absent or unreadable, as Docker takes them. */
function anyAuth(context: Pick<Context, "header">): Credentials | undefined {
  try {
    return decodeRegistryAuth(context.header("x-registry-auth"));
  } catch {
    return undefined;
  }
}
