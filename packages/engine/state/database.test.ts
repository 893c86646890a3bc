import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "./database.ts";

const dir = mkdtempSync(join(tmpdir(), "gantry-database-"));
const path = `${dir}/test.db`;
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("the database has room of its own: thousands of changes make none of its files larger", () => {
  for (let start = 0; start < 2; start++) {
    const database = openDatabase(path);
    database.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT)");
    const sizes = () => [statSync(path).size, statSync(`${path}-wal`).size];
    const before = sizes();
    for (let i = 0; i < 3000; i++) {
      database.run("INSERT OR REPLACE INTO t VALUES (?, ?)", [i % 100, "x".repeat(2000)]);
    }
    const after = sizes();
    expect(after[0]).toBeLessThanOrEqual(before[0]!);
    expect(after[1]).toBeLessThanOrEqual(before[1]!);
    database.close();
    // A clean end keeps it too.
    expect(statSync(`${path}-wal`).size).toBe(after[1]!);
  }
  const plain = new Database(path);
  expect(plain.query("SELECT count(*) AS n FROM t").get()).toEqual({ n: 100 });
  plain.close();
});

test("a second daemon on the same data root is told so", () => {
  mkdirSync(dir, { recursive: true });
  const script = `
    import { openDatabase } from ${JSON.stringify(new URL("./database.ts", import.meta.url).pathname)};
    try { openDatabase(${JSON.stringify(path)}); } catch (error) { console.log(error.message); }`;
  const database = openDatabase(path);
  const second = Bun.spawnSync([process.execPath, "-e", script]);
  database.close();
  expect(second.stdout.toString()).toBe(
    `failed to start daemon, ensure no other one runs on the same data root: ${path} is locked\n`,
  );
}, 60_000);

const root = process.getuid?.() === 0;
const btrfs = root && Bun.which("mkfs.btrfs") !== null && readFileSync("/proc/filesystems", "utf8").includes("btrfs");

test.skipIf(!btrfs)(
  "on a btrfs that is full, which writes a file anew where it is changed, too",
  () => {
    const mounted = `${dir}/small`;
    mkdirSync(mounted, { recursive: true });
    for (const command of [
      ["truncate", "-s", "128M", `${dir}/image`],
      ["mkfs.btrfs", "-q", `${dir}/image`],
      ["mount", "-o", "loop", `${dir}/image`, mounted],
    ]) {
      const { exitCode, stderr } = Bun.spawnSync(command);
      if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
    }
    try {
      const change = (database: Database) => {
        database.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT)");
        const insert = database.query("INSERT OR REPLACE INTO t VALUES (?, ?)");
        // Into the log, from there into the database, and into the log's beginning again.
        for (let i = 0; i < 30; i++) {
          insert.run(i, "x".repeat(2000));
          if (i === 20) database.run("PRAGMA wal_checkpoint(RESTART)");
        }
      };
      openDatabase(`${mounted}/test.db`).close();
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${mounted}/filler`, "bs=64k"]);
      Bun.spawnSync(["sync", "-f", mounted]);
      expect(() => writeFileSync(`${mounted}/more`, new Uint8Array(1 << 20))).toThrow("ENOSPC");
      for (let start = 0; start < 2; start++) {
        const database = openDatabase(`${mounted}/test.db`);
        try {
          change(database);
        } finally {
          database.close();
        }
      }
    } finally {
      Bun.spawnSync(["umount", "-l", mounted]);
    }
  },
  60_000,
);
