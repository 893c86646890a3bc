/** System call filters: OCI and Docker profiles to classic BPF. */
import { DEFAULT_CAPABILITIES } from "../capabilities/index.ts";
import { compileSeccomp } from "./compile.ts";
import { defaultSeccomp } from "./default.ts";

export { seccompFlags } from "./actions.ts";
export { compileSeccomp } from "./compile.ts";
export { defaultSeccomp } from "./default.ts";
export type { KernelVersion } from "./kernel.ts";
export { loadDockerProfile } from "./profile.ts";

/** Compiles the default policy ahead of the first container, which costs some 10 ms before the code is warm. */
export function warmSeccomp(): void {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  compileSeccomp(defaultSeccomp(DEFAULT_CAPABILITIES, arch), arch);
}
