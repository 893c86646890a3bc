import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CredentialStore, credentialsKey, encodeRegistryAuth, HUB_KEY } from "./index.ts";

let dir = "";
let store: CredentialStore;
const path = process.env["PATH"];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "gantry-credentials-"));
  store = new CredentialStore(join(dir, "config.json"));
});
afterEach(async () => {
  process.env["PATH"] = path;
  await rm(dir, { recursive: true });
});

const config = async () => JSON.parse(await readFile(store.path, "utf8"));

test("login writes what Docker's own client reads, for the owner only, and keeps unknown keys", async () => {
  await writeFile(store.path, JSON.stringify({ psFormat: "table {{.ID}}", auths: { "other:1": { auth: "eDp5" } } }));
  await chmod(store.path, 0o600);
  await store.store("localhost:5000", { username: "ann", password: "p:ä" });
  const written = await config();
  expect(written.auths["localhost:5000"]).toEqual({ auth: Buffer.from("ann:p:ä").toString("base64") });
  expect(written.psFormat).toBe("table {{.ID}}");
  expect(written.auths["other:1"]).toEqual({ auth: "eDp5" });
  expect((await stat(store.path)).mode & 0o777).toBe(0o600);
  expect(await store.get("localhost:5000")).toEqual({
    username: "ann",
    password: "p:ä",
    serveraddress: "localhost:5000",
  });
});

test("Docker Hub goes under its old key, whatever it is called", async () => {
  for (const name of ["docker.io", "index.docker.io", "https://index.docker.io/v1/", ""]) {
    expect(credentialsKey(name)).toBe(HUB_KEY);
  }
  await store.store("docker.io", { username: "ann", password: "x" });
  expect(Object.keys((await config()).auths)).toEqual([HUB_KEY]);
  expect((await store.get("registry-1.docker.io")).username).toBe("ann");
});

test("older spellings of a host are found, and gone after logout", async () => {
  await writeFile(store.path, JSON.stringify({ auths: { "https://reg.example/v1/": { auth: "YTpi" } } }));
  expect((await store.get("reg.example")).password).toBe("b");
  expect(await store.erase("reg.example")).toBe(true);
  expect((await config()).auths).toEqual({});
  expect(await store.erase("reg.example")).toBe(false);
});

test("an identity token takes the password's place", async () => {
  await store.store("reg.example", { username: "ann", password: "secret", identitytoken: "tok" });
  expect(await readFile(store.path, "utf8")).not.toContain(Buffer.from("ann:secret").toString("base64"));
  expect((await store.get("reg.example")).identitytoken).toBe("tok");
});

const HELPER = `#!/bin/sh
f="$(dirname "$0")/kept"
case "$1" in
  store) cat > "$f" ;;
  get) read -r s; if grep -q "\\"$s\\"" "$f" 2>/dev/null; then cat "$f"; else echo "credentials not found in native keychain"; exit 1; fi ;;
  erase) rm -f "$f" ;;
  list) echo '{"reg.example":"ann"}' ;;
esac
`;

test("a helper keeps the secret out of the file", async () => {
  await writeFile(join(dir, "docker-credential-fake"), HELPER, { mode: 0o755 });
  process.env["PATH"] = `${dir}:${path}`;
  await writeFile(store.path, JSON.stringify({ credHelpers: { "reg.example": "fake" } }));
  expect(await store.get("reg.example")).toEqual({});
  expect(await store.store("reg.example", { username: "ann", password: "pw" })).toEqual({
    kind: "helper",
    name: "fake",
  });
  expect((await config()).auths).toEqual({ "reg.example": {} });
  expect(await store.get("reg.example")).toEqual({ username: "ann", password: "pw", serveraddress: "reg.example" });
  expect(await store.get("elsewhere.example")).toEqual({});
  await store.store("reg.example", { username: "ann", identitytoken: "refresh" });
  expect(await store.get("reg.example")).toEqual({ identitytoken: "refresh", serveraddress: "reg.example" });
  await store.erase("reg.example");
  expect(await store.get("reg.example")).toEqual({});
});

test("a helper that is not there is named, and one with a path in its name refused", async () => {
  await writeFile(store.path, JSON.stringify({ credsStore: "nowhere" }));
  await expect(store.get("reg.example")).rejects.toThrow("docker-credential-nowhere");
  await writeFile(store.path, JSON.stringify({ credsStore: "../evil" }));
  await expect(store.get("reg.example")).rejects.toThrow("invalid credential helper name");
});

test("a broken file is an error that names it, never overwritten", async () => {
  await writeFile(store.path, "{");
  await expect(store.store("reg.example", { username: "a", password: "b" })).rejects.toThrow(store.path);
  expect(await readFile(store.path, "utf8")).toBe("{");
});

test("headers are URL-safe base64", () => {
  const header = encodeRegistryAuth({ username: "ÿÿÿ", password: "???>>>" });
  expect(header).not.toMatch(/[+/]/);
  expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({ username: "ÿÿÿ", password: "???>>>" });
});
