/**
 * Runs the OCI runtime-tools validation suite against `gantry-runtime` and, for comparison, other runtimes; prints how
 * many of its programs and of their assertions pass for each.
 *
 *     OCI_VALIDATION_SUITE=<checkout with built runtimetest and validation/**.t> bun test/oci-validation/run.ts
 *
 * Build the suite in its checkout with `make runtimetest validation-executables` (Go). OCI_VALIDATION_PEERS names
 * further runtimes to run, separated by commas; OCI_VALIDATION_PREFIX is a command that runs those in their own root
 * ("peer run"). A word on the command line selects tests by name. Needs root.
 */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const suite = process.env.OCI_VALIDATION_SUITE;
if (!suite) {
  console.error("OCI_VALIDATION_SUITE is not set: nothing to run");
  process.exit(2);
}
const wanted = process.argv[2] ?? "";
const LIMIT = 60_000;

interface Outcome {
  ok: number;
  notOk: number;
  skipped: number;
  passed: boolean;
  text: string;
}

const tests = readdirSync(join(suite, "validation"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".t") && name.includes(wanted))
  .sort();

async function runOne(test: string, runtime: string, prefix: string[]): Promise<Outcome> {
  const shell = `cd "${suite}" && RUNTIME="${runtime}" exec ./validation/${test}`;
  const child = Bun.spawn({ cmd: [...prefix, "sh", "-c", shell], stdout: "pipe", stderr: "pipe", timeout: LIMIT });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const lines = out.split("\n");
  const skipped = lines.filter((line) => /^ok .*# SKIP/i.test(line)).length;
  const ok = lines.filter((line) => /^ok\b/.test(line)).length - skipped;
  const notOk = lines.filter((line) => /^not ok\b/.test(line)).length;
  return { ok, notOk, skipped, passed: code === 0 && notOk === 0, text: `${out}\n${err}\nexit ${code}` };
}

const own = join(import.meta.dirname, "gantry-runtime");
const runtimes: [string, string, string[]][] = [["gantry-runtime", own, []]];
const prefix = (process.env.OCI_VALIDATION_PREFIX ?? "").split(" ").filter(Boolean);
for (const peer of (process.env.OCI_VALIDATION_PEERS ?? "").split(",").filter(Boolean))
  runtimes.push([peer, peer, prefix]);

const totals = new Map(runtimes.map(([name]) => [name, { programs: 0, ok: 0, notOk: 0, skipped: 0 }]));
let report = "";
for (const test of tests) {
  const marks: string[] = [];
  for (const [name, command, prefix] of runtimes) {
    const outcome = await runOne(test, command, prefix);
    const total = totals.get(name)!;
    total.programs += outcome.passed ? 1 : 0;
    total.ok += outcome.ok;
    total.notOk += outcome.notOk;
    total.skipped += outcome.skipped;
    marks.push(`${outcome.passed ? "pass" : "FAIL"} ${outcome.ok}/${outcome.ok + outcome.notOk}`);
    report += `==== ${test} ${name}\n${outcome.text}\n`;
  }
  console.log(test.padEnd(64), marks.map((mark) => mark.padEnd(14)).join(""));
}
for (const [name, { programs, ok, notOk, skipped }] of totals)
  console.log(
    `${name}: ${programs} of ${tests.length} programs, ${ok} of ${ok + notOk} assertions pass, ${skipped} skipped`,
  );
if (process.env.OCI_VALIDATION_REPORT) writeFileSync(process.env.OCI_VALIDATION_REPORT, report);
