import { conflict, invalidParameter, messageOf, notFound } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { generateName } from "../names/generator.ts";
import type { ContainerStore } from "../state/container-store.ts";
import { Container } from "./container.ts";
import { findLinked, renameLinks } from "./links.ts";
import type { ContainerRecord, ContainerStateRecord } from "./record.ts";

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** All containers, by ID and by name. */
export class Containers {
  readonly store: ContainerStore;
  private readonly engine: Engine;
  private readonly byId = new Map<string, Container>();
  private readonly byName = new Map<string, string>();
  /** Newest last. */
  private reserved = new Map<string, string>();

  constructor(engine: Engine, store: ContainerStore) {
    this.engine = engine;
    this.store = store;
  }

  /** Reads what is on disk. Called once. */
  loadAll(): Container[] {
    for (const { record, state } of this.store.all()) {
      const container = new Container(this.engine, record, state);
      this.byId.set(record.id, container);
      this.byName.set(record.name, record.id);
    }
    return this.all();
  }

  all(): Container[] {
    return [...this.byId.values()];
  }

  get size(): number {
    return this.byId.size;
  }

  /** By ID, name (with or without slash), a link's `parent/alias`, or unambiguous prefix of an ID. Throws notFound, Docker's words. */
  get(nameOrId: string): Container {
    const found = this.find(nameOrId);
    if (found === null) throw notFound(`No such container: ${nameOrId}`);
    return found;
  }

  find(nameOrId: string): Container | null {
    if (nameOrId === "") throw invalidParameter('invalid name or ID supplied: ""');
    const exact = this.byId.get(nameOrId);
    if (exact !== undefined) return exact;
    const named = this.byName.get(nameOrId.startsWith("/") ? nameOrId.slice(1) : nameOrId);
    if (named !== undefined) return this.byId.get(named) ?? null;
    const link = /^\/?([^/]+)\/([^/]+)$/.exec(nameOrId);
    if (link !== null) {
      const parent = this.byId.get(this.byName.get(link[1] as string) ?? "");
      const target = parent === undefined ? null : findLinked(parent, link[2] as string);
      return target === null ? null : this.find(target);
    }
    if (!/^[0-9a-f]{1,64}$/.test(nameOrId)) return null;
    let found: Container | null = null;
    for (const [id, container] of this.byId) {
      if (!id.startsWith(nameOrId)) continue;
      if (found !== null) throw notFound(`multiple IDs found with provided prefix: ${nameOrId}`);
      found = container;
    }
    return found;
  }

  /**
   * Takes a name for an ID, or makes one up where it is "". Throws invalidParameter or conflict.
   * The name is held until `add` or `releaseName`.
   */
  reserveName(wanted: string, id: string): string {
    if (wanted === "") {
      const name = generateName((name) => this.byName.has(name) || this.reserved.has(name));
      this.reserved.set(name, id);
      return name;
    }
    if (!NAME.test(wanted)) {
      throw invalidParameter(`Invalid container name (${wanted}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
    }
    const name = wanted.startsWith("/") ? wanted.slice(1) : wanted;
    const holder = this.byName.get(name) ?? this.reserved.get(name);
    if (holder !== undefined) {
      throw conflict(
        `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
    this.reserved.set(name, id);
    return name;
  }

  releaseName(name: string): void {
    this.reserved.delete(name);
  }

  add(record: ContainerRecord, state: ContainerStateRecord): Container {
    this.store.insert(record, state);
    const container = new Container(this.engine, record, state);
    this.byId.set(record.id, container);
    this.byName.set(record.name, record.id);
    this.reserved.delete(record.name);
    return container;
  }

  /** Gives a container another name, taken with `reserveName` before. Where it cannot be written down it keeps its own. */
  rename(container: Container, name: string): void {
    const before = container.name;
    container.record.name = name;
    try {
      this.store.save(container.record, container.state);
    } catch (error) {
      container.record.name = before;
      this.reserved.delete(name);
      throw error;
    }
    this.byName.delete(before);
    this.byName.set(name, container.id);
    this.reserved.delete(name);
    renameLinks(this.engine, before, name);
  }

  /** Forgets a container: gone from lists and, unless its removal is to be gone on with after a restart, from the disk. */
  forget(container: Container, remember = false): void {
    try {
      if (remember) this.store.saveState(container.id, container.state);
      else this.store.delete(container.id);
    } catch (error) {
      this.engine.log("error", `container ${container.id}: its row could not be deleted: ${messageOf(error)}`);
    }
    container.removed = true;
    this.byId.delete(container.id);
    if (this.byName.get(container.name) === container.id) this.byName.delete(container.name);
  }
}
