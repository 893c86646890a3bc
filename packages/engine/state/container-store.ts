import type { Database } from "bun:sqlite";
import type { ContainerRecord, ContainerStateRecord } from "../containers/record.ts";

/** Containers on disk: what they were made of, and apart from it (it changes often) what became of them. */
export class ContainerStore {
  private readonly insertRow;
  private readonly updateState;
  private readonly updateRecord;
  private readonly deleteRow;
  private readonly database: Database;

  constructor(database: Database) {
    this.database = database;
    database.run(
      "CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, record TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID",
    );
    this.insertRow = database.prepare("INSERT INTO containers (id, record, state) VALUES (?, ?, ?)");
    this.updateState = database.prepare("UPDATE containers SET state = ? WHERE id = ?");
    this.updateRecord = database.prepare("UPDATE containers SET record = ?, state = ? WHERE id = ?");
    this.deleteRow = database.prepare("DELETE FROM containers WHERE id = ?");
  }

  insert(record: ContainerRecord, state: ContainerStateRecord): void {
    this.insertRow.run(record.id, JSON.stringify(record), JSON.stringify(state));
  }

  saveState(id: string, state: ContainerStateRecord): void {
    this.updateState.run(JSON.stringify(state), id);
  }

  save(record: ContainerRecord, state: ContainerStateRecord): void {
    this.updateRecord.run(JSON.stringify(record), JSON.stringify(state), record.id);
  }

  delete(id: string): void {
    this.deleteRow.run(id);
  }

  all(): { record: ContainerRecord; state: ContainerStateRecord }[] {
    const rows = this.database.query("SELECT record, state FROM containers").all() as {
      record: string;
      state: string;
    }[];
    return rows.map((row) => ({ record: JSON.parse(row.record), state: JSON.parse(row.state) }));
  }
}
