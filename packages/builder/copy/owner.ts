import { invalidParameter } from "@gantry/spec";
import type { UserFiles } from "../exec/users.ts";
import type { Owner } from "./upper.ts";

/**
 * `--chown=user[:group]` as numbers; names are looked up in the image's passwd and group files. A group that is not
 * given is the user's own number, as a group. Throws invalidParameter in Docker's words.
 */
export async function resolveChown(text: string, files: () => Promise<UserFiles>): Promise<Owner> {
  const [user = "", group, ...more] = text.split(":");
  if (user === "" || more.length > 0) {
    throw invalidParameter(`unable to convert uid/gid chown string to host mapping: invalid chown string: ${text}`);
  }
  const uid = number(user) ?? find((await files()).passwd, user, "user");
  if (group === undefined || group === "") {
    return { uid, gid: number(user) ?? find((await files()).group, user, "group") };
  }
  return { uid, gid: number(group) ?? find((await files()).group, group, "group") };
}

function number(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= 0x7fffffff ? value : undefined;
}

function find(entries: { name: string; id: number }[], name: string, kind: "user" | "group"): number {
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry) return entry.id;
  throw invalidParameter(
    `unable to convert uid/gid chown string to host mapping: can't find ${kind === "user" ? "uid" : "gid"} for ${kind} ${name}: no such ${kind}: ${name}`,
  );
}
