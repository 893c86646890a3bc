/**
 * What a container sees, field by field: against Docker's own, recorded in expected.json, and where
 * GANTRY_PEER_DOCKER names a dockerd's socket ("unix://…"), against that too. GANTRY_RECORD=1 writes expected.json anew
 * from the peer: all facts of the default container, and of each variant those that differ from it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";
import { buildProbe, type Probe, ProbedEngine } from "./engines.ts";
import recorded from "./expected.json";
import { differences, type Facts } from "./facts.ts";
import { known, onThisMachineOnly } from "./skips.ts";
import { EXECS, UPDATES, VARIANTS } from "./variants.ts";

type Changes = Record<string, Record<string, string | null>>;
interface Recorded {
  default: Facts;
  variants: Record<string, Changes>;
}

const peerHost = process.env["GANTRY_PEER_DOCKER"];
const recording = process.env["GANTRY_RECORD"] === "1";
const LIMIT = 60_000;

/** The facts of a variant: the default's with its changes, null for one that is not there. */
function expected(name: string): Facts {
  const { default: base, variants } = recorded as unknown as Recorded;
  const facts: Facts = structuredClone(base);
  for (const [section, changes] of Object.entries(variants[name] ?? {})) {
    const list = (facts[section] ??= {});
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) delete list[key];
      else list[key] = value;
    }
  }
  return facts;
}

type Skip = (section: string, key: string) => boolean;

/** What is worth recording: nothing that is chance or this machine's alone. */
function without(facts: Facts, skip: Skip): Facts {
  const kept: Facts = {};
  for (const [section, list] of Object.entries(facts)) {
    const entries = Object.entries(list).filter(([key]) => !skip(section, key));
    if (entries.length) kept[section] = Object.fromEntries(entries);
  }
  return kept;
}

function changes(base: Facts, facts: Facts, skip: Skip): Changes {
  const out: Changes = {};
  for (const section of new Set([...Object.keys(base), ...Object.keys(facts)])) {
    const [a, b] = [base[section] ?? {}, facts[section] ?? {}];
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
      if (a[key] !== b[key] && !skip(section, key)) (out[section] ??= {})[key] = b[key] ?? null;
  }
  return out;
}

const all = [
  ...Object.entries(VARIANTS).map(([name, args]) => ({ name, args, by: "run" as const })),
  ...Object.entries(EXECS).map(([name, args]) => ({ name, args, by: "exec" as const })),
  ...Object.entries(UPDATES).map(([name, args]) => ({ name, args, by: "update" as const })),
];

describe.skipIf(!canRunContainers)("a container sees what it sees under Docker", () => {
  let probe: Probe;
  let engine: TestEngine;
  let gantry: ProbedEngine;
  let peer: ProbedEngine | null = null;
  const record: Recorded = { default: {}, variants: {} };

  beforeAll(async () => {
    const built = buildProbe();
    if (!built) throw new Error("a C compiler with a static libc is needed for the probe");
    probe = built;
    engine = await startEngine({ images: "none" });
    gantry = new ProbedEngine(engine.host, probe.archive);
    await gantry.prepare();
    if (peerHost) {
      peer = new ProbedEngine(peerHost, probe.archive);
      await peer.prepare();
    }
  }, LIMIT);

  afterAll(async () => {
    if (recording && peer) await Bun.write(`${import.meta.dir}/expected.json`, `${JSON.stringify(record, null, 1)}\n`);
    await peer?.close();
    await gantry?.close();
    await engine?.close();
    probe?.remove();
  }, LIMIT);

  test.each(all)(
    "$name",
    async ({ name, args, by }) => {
      const facts = (one: ProbedEngine) => one[by](args);
      const ours = await facts(gantry);
      expect(Object.keys(ours).length).toBeGreaterThan(10);
      if (!recording) {
        const skip = onThisMachineOnly(name, expected("default"), probe.host);
        expect(
          differences(expected(name), ours, (section, key) => known(name, section, key) || skip(section, key)),
        ).toEqual([]);
      }
      if (!peer) return;
      const theirs = await facts(peer);
      const skip = onThisMachineOnly(name, theirs, probe.host);
      const kept = without(theirs, (section, key) => known(name, section, key) || skip(section, key));
      if (name === "default") record.default = kept;
      else
        record.variants[name] = changes(
          record.default,
          kept,
          (section, key) => known(name, section, key) || skip(section, key),
        );
      expect(differences(theirs, ours, (section, key) => known(name, section, key))).toEqual([]);
    },
    LIMIT,
  );

  test.skipIf(!peerHost)("compared with a dockerd, too (GANTRY_PEER_DOCKER)", () => {
    expect(peer).not.toBeNull();
  });

  test("limits are the daemon's own", async () => {
    const { rlimit } = await gantry.run([]);
    expect(rlimit).toEqual(probe.host["rlimit"]!);
  });
});
