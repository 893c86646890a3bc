/**
 * Runs every `*.test.ts`, each workspace room in a process of its own (a crash or a leaked descriptor in one says
 * nothing of another), and closes with one line that counts all. Arguments: paths to run instead of everything.
 */
import { Glob } from "bun";

const wanted = process.argv.slice(2);
const rooms = new Map<string, string[]>();
for (const path of [...new Glob("{packages,test,bench,scripts}/**/*.test.ts").scanSync(".")].sort()) {
  if (path.includes("node_modules")) continue;
  if (wanted.length > 0 && !wanted.some((prefix) => path.startsWith(prefix))) continue;
  const room = path.split("/").slice(0, 2).join("/");
  rooms.set(room, [...(rooms.get(room) ?? []), path]);
}

/** Skipped tests by the group they stand in, each once (bun lists them again at the end). */
function skippedGroups(text: string): Map<string, number> {
  const names = new Set([...text.matchAll(/^\(skip\) (.*)$/gm)].map((line) => line[1]!.replace(/ \[[\d.]+m?s\]$/, "")));
  const groups = new Map<string, number>();
  for (const name of names) {
    const group = name.includes(" > ") ? name.slice(0, name.indexOf(" > ")) : name;
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  return groups;
}

let passed = 0;
let failed = 0;
let skipped = 0;
const bad: { room: string; text: string }[] = [];
for (const [room, files] of rooms) {
  const started = Date.now();
  const child = Bun.spawn([process.execPath, "test", "--timeout", "60000", ...files.map((f) => `./${f}`)], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, FORCE_COLOR: "0" },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const text = out + err;
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0);
  passed += count("pass");
  failed += count("fail");
  skipped += count("skip") + count("todo");
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(
    `${code === 0 ? "ok  " : "FAIL"} ${room} (${count("pass")} tests, ${count("skip")} skipped, ${seconds} s)`,
  );
  for (const [group, tests] of skippedGroups(text)) console.log(`     skipped: ${group} (${tests})`);
  if (code !== 0) {
    if (count("fail") === 0) failed++;
    bad.push({ room, text });
  }
}
// Last, and without what passed: whoever sees only the end of a long record sees why it failed.
for (const { room, text } of bad) {
  console.log(`\n==== ${room} ====`);
  console.log(text.replace(/^\((pass|skip)\) .*\n/gm, "").replace(/^\n+/gm, "\n"));
}
if (bad.length > 0) console.log(`failed: ${bad.map(({ room }) => room).join(", ")}`);
if (passed === 0) console.log("no test ran");
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed > 0 || bad.length > 0 || passed === 0 ? 1 : 0);
