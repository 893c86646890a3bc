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

/** Lines of a failure that say what it is: the error, what was expected and what came, the place in the test. */
const TELLING = /^(error|\w*Error):|^(Expected|Received): |^\s*[-+] {2,}\S|^\s+at .*\.test\.ts:\d/;

/** The names of the failed tests, each with the first lines that say why and where. */
function failedTests(text: string): string[] {
  const found: string[] = [];
  let reason: string[] = [];
  for (const line of text.split("\n")) {
    if (TELLING.test(line) && reason.length < 8) reason.push(line.trim());
    else if (/^\((pass|skip)\) /.test(line)) reason = [];
    else if (line.startsWith("(fail) ")) {
      if (!found.some((one) => one.startsWith(line))) found.push([line, ...reason].join("\n         "));
      reason = [];
    } else if (/^\d+ tests? (failed|skipped):$/.test(line.trim())) break;
  }
  return found;
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
  if (code !== 0) {
    // Here already: of a long record some see only the beginning, others only the end.
    for (const one of failedTests(text)) console.log(`     ${one}`);
    if (count("fail") === 0) failed++;
    bad.push({ room, text });
  }
}
for (const { room, text } of bad) {
  console.log(`\n==== ${room} ====`);
  console.log(text.replace(/^\((pass|skip)\) .*\n/gm, "").replace(/^\n+/gm, "\n"));
}
if (bad.length > 0) console.log(`failed: ${bad.map(({ room }) => room).join(", ")}`);
if (passed === 0) console.log("no test ran");
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed > 0 || bad.length > 0 || passed === 0 ? 1 : 0);
