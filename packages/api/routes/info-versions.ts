import type { SystemInfo } from "@gantry/spec";

/** What API versions expect in the answer of GET /info: fields came and went. */
export function infoFor(info: SystemInfo, api: number): SystemInfo {
  const out: SystemInfo = { ...info };
  if (api < 42) out.KernelMemory = true;
  if (api < 47 && info.RegistryConfig) {
    out.RegistryConfig = {
      ...info.RegistryConfig,
      AllowNondistributableArtifactsCIDRs: null,
      AllowNondistributableArtifactsHostnames: null,
    };
  }
  if (api < 49) {
    delete out.FirewallBackend;
    for (const name of ["ContainerdCommit", "RuncCommit", "InitCommit"] as const) {
      const { ID } = info[name];
      if (ID !== "") out[name] = { ID, Expected: ID };
    }
  }
  if (api >= 52) delete out.KernelMemoryTCP;
  if (api < 50) {
    out.BridgeNfIptables = false;
    out.BridgeNfIp6tables = false;
  }
  return out;
}
