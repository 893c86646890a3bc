import type { ImageInspect, ImageSummary } from "@gantry/spec";

/** What older API versions expect in a list entry of images. */
export function listEntryFor(image: ImageSummary, api: number): ImageSummary {
  if (api >= 44) return image;
  const old: ImageSummary = { ...image, VirtualSize: image.Size };
  if (api >= 43 || image.RepoDigests.length > 0) return old;
  if (image.RepoTags.length > 0) return { ...old, RepoDigests: null as never };
  return { ...old, RepoTags: ["<none>:<none>"], RepoDigests: ["<none>@<none>"] };
}

/** Fields of a container's configuration that images' configurations once had too (up to API 1.49). */
const CONTAINER_FIELDS = {
  Hostname: "",
  Domainname: "",
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Image: "",
};
/** Fields that are there, empty, up to API 1.51. */
const EMPTY_FIELDS = {
  User: "",
  Env: null,
  Cmd: null,
  Volumes: null,
  WorkingDir: "",
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
};

/** What API versions expect of an image's inspect. */
export function inspectFor(image: ImageInspect, api: number): Record<string, unknown> {
  const out: Record<string, unknown> = { ...image };
  if (api >= 52) {
    for (const name of ["Parent", "Comment", "DockerVersion", "Author"]) if (!out[name]) delete out[name];
    return out;
  }
  const given = Object.fromEntries(Object.entries(image.Config ?? {}).filter(([, value]) => value !== undefined));
  out["Config"] = { ...(api < 50 ? CONTAINER_FIELDS : {}), ...EMPTY_FIELDS, ...given };
  if (api < 45) out["ContainerConfig"] = { ...CONTAINER_FIELDS, ...EMPTY_FIELDS };
  if (api < 44) out["VirtualSize"] = image.Size;
  if (api < 48) delete out["Descriptor"];
  return out;
}
