import { type HostConfig, invalidParameter, notFound, systemError } from "@gantry/spec";
import { exposedPorts } from "../config/ports.ts";
import type { Engine } from "../engine.ts";
import { linkEnv } from "../spec/link-env.ts";
import type { Container } from "./container.ts";

/** A legacy link: a container, and what another one calls it. */
interface Link {
  target: string;
  alias: string;
}

/** Takes `name`, `name:alias`, and what inspect shows of one: `/name:/parent/alias`. */
function parseLink(text: string): Link {
  const [target = "", alias = target, ...rest] = text.split(":");
  if (rest.length > 0 || (target === "" && text === "")) throw invalidParameter(`bad format for links: ${text}`);
  if (target.startsWith("/")) return { target: target.slice(1), alias: alias.slice(alias.lastIndexOf("/") + 1) };
  return { target, alias };
}

/** Whether links are the default bridge's: user-defined networks have names of their own instead. */
function legacy(mode: string | null | undefined): boolean {
  return ["", "default", "bridge", "none"].includes(mode ?? "");
}

/** Puts the links that are asked for into the form they are kept in: `name:alias`, one for an alias, the first. */
export function takeLinks(engine: Engine, host: HostConfig): void {
  if (!host.Links?.length || !legacy(host.NetworkMode)) return;
  const taken = new Map<string, string>();
  for (const text of host.Links) {
    const { target, alias } = parseLink(text);
    if (target === "") throw invalidParameter('could not get container for : invalid name or ID supplied: ""');
    let other = engine.containers.find(target);
    if (other === null) {
      throw invalidParameter(`could not get container for ${target}: No such container: ${target}`);
    }
    // The address is that of whose network it shares.
    for (let mode = other.record.hostConfig.NetworkMode ?? ""; mode.startsWith("container:"); ) {
      const owner = engine.containers.find(mode.slice(10));
      if (owner === null) {
        throw invalidParameter(`could not get container for ${mode.slice(10)}: No such container: ${mode.slice(10)}`);
      }
      other = owner;
      mode = owner.record.hostConfig.NetworkMode ?? "";
    }
    if (other.record.hostConfig.NetworkMode === "host") {
      throw invalidParameter(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    }
    if (alias !== "" && !taken.has(alias)) taken.set(alias, other.name);
  }
  host.Links = [...taken].map(([alias, target]) => `${target}:${alias}`);
}

function linksOf(container: Container): Link[] {
  const { Links, NetworkMode } = container.record.hostConfig;
  return Links?.length && legacy(NetworkMode) ? Links.map(parseLink) : [];
}

/** Links as inspect shows them: `/target:/container/alias`; null where there are none. */
export function shownLinks(container: Container): string[] | null {
  const links = linksOf(container);
  if (links.length === 0) return null;
  return links.map(({ target, alias }) => `/${target}:/${container.name}/${alias}`);
}

/** Names that containers have by others' links, such as `/parent/alias`, by the name of the container linked to. */
export function linkNames(engine: Engine): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const container of engine.containers.all()) {
    for (const { target, alias } of linksOf(container)) {
      const list = names.get(target);
      const name = `/${container.name}/${alias}`;
      if (list === undefined) names.set(target, [name]);
      else list.push(name);
    }
  }
  return names;
}

/** The container that `parent` calls `alias`. */
export function findLinked(parent: Container, alias: string): string | null {
  return linksOf(parent).find((link) => link.alias === alias)?.target ?? null;
}

/** Links go on to mean a container that gets another name. */
export function renameLinks(engine: Engine, before: string, after: string): void {
  for (const container of engine.containers.all()) {
    const links = linksOf(container);
    if (!links.some((link) => link.target === before)) continue;
    container.record.hostConfig.Links = links.map(
      ({ target, alias }) => `${target === before ? after : target}:${alias}`,
    );
    container.save();
  }
}

/**
 * Environment variables about the containers linked to. With `strict`, as at a start, one that does not run or is not on
 * the default bridge is an error.
 */
export function linkedEnv(engine: Engine, container: Container, strict: boolean): string[] {
  const env: string[] = [];
  if (container.record.endpoints["bridge"] === undefined) return env;
  for (const { target, alias } of linksOf(container)) {
    const other = engine.containers.find(target);
    const name = `/${container.name}/${alias}`;
    const address = other === null ? "" : (engine.network.endpoints(other.id)["bridge"]?.IPAddress ?? "");
    if (other?.running !== true) {
      if (!strict) continue;
      throw systemError(`Cannot link to a non running container: /${target} AS ${name}`);
    }
    if (address === "") {
      if (!strict) continue;
      throw systemError(`container ${other.id} not attached to default bridge network`);
    }
    const { ExposedPorts, Env } = other.record.config;
    env.push(...linkEnv({ name, alias, address, ports: exposedPorts(ExposedPorts), env: Env ?? [] }));
  }
  return env;
}

/** Forgets a legacy link, named as `container/alias`. The name goes from /etc/hosts with the next start. */
export function removeLink(engine: Engine, name: string): void {
  const parts = /^\/?([^/]+)\/([^/]+)$/.exec(name);
  if (parts === null) {
    engine.containers.get(name);
    throw systemError("Conflict, cannot remove the default link name of the container");
  }
  const container = engine.containers.find(parts[1] as string);
  const links = container === null ? [] : linksOf(container);
  const kept = links.filter((link) => link.alias !== parts[2]);
  if (container === null || kept.length === links.length) throw notFound(`No such container: ${name}`);
  container.record.hostConfig.Links = kept.map(({ target, alias }) => `${target}:${alias}`);
  container.save();
}
