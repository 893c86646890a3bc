/** The vocabulary of the house: OCI and Docker types with their schemas, references, digests, errors. No I/O. */
export * from "./device.ts";
export * from "./digest.ts";
export * from "./docker/index.ts";
export * from "./errors.ts";
export * from "./json.ts";
export * from "./linear-regexp.ts";
export * from "./oci-image.ts";
export * from "./oci-runtime.ts";
export * from "./reference.ts";
