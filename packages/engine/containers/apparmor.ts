import { hostAppArmor, profileName } from "@gantry/libcontainer";
import { askedAppArmor } from "../spec/security.ts";
import type { ContainerRecord, ContainerStateRecord } from "./record.ts";

/** The AppArmor profile that a container was asked to be confined by until it is started, then what it is confined by; "" for none. */
export function shownAppArmor(record: ContainerRecord, state: ContainerStateRecord): string {
  const { hostConfig: host } = record;
  if (!state.startedBefore) return askedAppArmor(host);
  if (state.appArmorProfile !== undefined) return state.appArmorProfile;
  return hostAppArmor() === null ? "" : profileName(askedAppArmor(host), host.Privileged === true);
}
