/** The client of registries: resolve, pull, push, login, search (OCI distribution spec 1.1 and Docker's v2). */
export { attestationsOf } from "./attestations.ts";
export {
  type Credentials,
  decodeRegistryAuth,
  decodeRegistryConfig,
  toCredentials,
} from "./auth/credentials.ts";
export { checkMirror, DEFAULT_REGISTRY_CONFIG, type RegistryConfig, readRegistryConfig } from "./config.ts";
export {
  type AccessOptions,
  type Distribution,
  type DistributionOptions,
  openDistribution,
  registryOf,
} from "./distribution.ts";
export { RegistryError } from "./failure.ts";
export { digestOf, layerKind, type Manifest, parseManifest } from "./manifest.ts";
export {
  formatPlatform,
  hostPlatform,
  isAttestation,
  matchingManifests,
  normalizePlatform,
  parsePlatform,
  platformRank,
} from "./platform.ts";
export { amount, type Emit, humanSize, progressBar, shortDigest, step, throttled } from "./progress.ts";
export type { PulledImage, PullOptions } from "./pull.ts";
export { type PushedImage, type PushImage, type PushOptions, pushGreeting } from "./push.ts";
export type { PushIndex } from "./push-index.ts";
export type { SearchOptions } from "./search.ts";
