import type { Database, Statement } from "bun:sqlite";
import type { NetworkRecord, Sandbox } from "./model.ts";

/** Networks and sandboxes in SQLite, one row with a JSON document each: all that a restarted daemon needs. */
export class NetworkStore {
  private readonly putNetworkRow: Statement;
  private readonly putSandboxRow: Statement;
  private readonly dropNetworkRow: Statement;
  private readonly dropSandboxRow: Statement;
  private readonly putNote: Statement;

  constructor(private readonly db: Database) {
    // With rowids: else a record of megabytes (20,000 ports) would be read whenever a neighbour's key is compared with its own.
    db.run("CREATE TABLE IF NOT EXISTS networks (id TEXT PRIMARY KEY, record TEXT NOT NULL)");
    db.run("CREATE TABLE IF NOT EXISTS sandboxes (container TEXT PRIMARY KEY, record TEXT NOT NULL)");
    db.run("CREATE TABLE IF NOT EXISTS network_notes (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
    this.putNetworkRow = db.prepare("INSERT OR REPLACE INTO networks (id, record) VALUES (?, ?)");
    this.putSandboxRow = db.prepare("INSERT OR REPLACE INTO sandboxes (container, record) VALUES (?, ?)");
    this.dropNetworkRow = db.prepare("DELETE FROM networks WHERE id = ?");
    this.dropSandboxRow = db.prepare("DELETE FROM sandboxes WHERE container = ?");
    this.putNote = db.prepare("INSERT OR REPLACE INTO network_notes (key, value) VALUES (?, ?)");
  }

  networks(): NetworkRecord[] {
    return this.records<NetworkRecord>("SELECT record FROM networks");
  }
  sandboxes(): Sandbox[] {
    return this.records<Sandbox>("SELECT record FROM sandboxes");
  }
  saveNetwork(network: NetworkRecord): void {
    this.putNetworkRow.run(network.id, JSON.stringify(network));
  }
  dropNetwork(id: string): void {
    this.dropNetworkRow.run(id);
  }
  saveSandbox(sandbox: Sandbox): void {
    this.putSandboxRow.run(sandbox.containerId, JSON.stringify(sandbox));
  }
  dropSandbox(containerId: string): void {
    this.dropSandboxRow.run(containerId);
  }
  /** A small fact that outlives the daemon, e.g. that this daemon turned IP forwarding on. */
  note(key: string): string | undefined {
    const row = this.db.query("SELECT value FROM network_notes WHERE key = ?").get(key) as { value: string } | null;
    return row?.value;
  }
  saveNote(key: string, value: string): void {
    this.putNote.run(key, value);
  }

  private records<T>(query: string): T[] {
    return (this.db.query(query).all() as { record: string }[]).map((row) => JSON.parse(row.record) as T);
  }
}
