import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestCa } from "./support/certificates.ts";
import { TestEngine } from "./support/engine.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { makeImage, seed, type TestImage } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";
import { TokenServer } from "./support/token-server.ts";

const ann = { username: "ann", password: "pä:ss" };
const basic = (user: { username: string; password: string }) => ({
  authorization: `Basic ${Buffer.from(`${user.username}:${user.password}`).toString("base64")}`,
});

describe.skipIf(!registryInstalled)("basic auth", () => {
  let registry: RunningRegistry;
  let engine: TestEngine;
  let image: TestImage;
  beforeAll(async () => {
    registry = await startRegistry({ users: { [ann.username]: ann.password } });
    engine = new TestEngine();
    image = makeImage();
    await seed(registry.url, "private/app", "1", image, basic(ann));
  });
  afterAll(async () => {
    await registry.stop();
    await engine.close();
  });

  test("login tells right from wrong", async () => {
    expect(await engine.distribution.login(registry.host, ann)).toBeUndefined();
    await expect(engine.distribution.login(registry.host, { ...ann, password: "no" })).rejects.toThrow(
      `login attempt to ${registry.url}/v2/ failed with status: 401 Unauthorized`,
    );
    await expect(engine.distribution.login("127.0.0.1:1", ann)).rejects.toThrow("connection refused");
    await expect(engine.distribution.login("evil host/", ann)).rejects.toThrow("invalid registry address");
  });

  test("pull and push with credentials, refused without and with wrong ones", async () => {
    const name = `${registry.host}/private/app:1`;
    await expect(engine.pull(name)).rejects.toThrow("no basic auth credentials");
    await expect(engine.pull(name, { credentials: { ...ann, password: "no" } })).rejects.toThrow("unauthorized");
    await engine.pull(name, { credentials: ann });
    expect(engine.images.resolve(name).id).toBe(image.config.digest as never);
    engine.images.tag(name, `${registry.host}/private/copy`, "1");
    await expect(engine.push(`${registry.host}/private/copy`, { tag: "1" })).rejects.toThrow(
      "no basic auth credentials",
    );
    await engine.push(`${registry.host}/private/copy`, { tag: "1", credentials: ann });
    expect(
      (await engine.images.inspectRemote(`${registry.host}/private/copy:1`, { credentials: ann })).Descriptor.digest,
    ).toBe(image.manifest.digest);
    // One user's success is nobody else's.
    await expect(engine.images.inspectRemote(name)).rejects.toThrow("no basic auth credentials");
  });
});

describe.skipIf(!registryInstalled)("token auth", () => {
  let registry: RunningRegistry;
  let tokens: TokenServer;
  let ca: TestCa;
  let engine: TestEngine;
  let open: TestImage;
  let closed: TestImage;
  beforeAll(async () => {
    ca = new TestCa();
    const signer = ca.issue("signer");
    tokens = new TokenServer(signer, { [ann.username]: "secret" });
    registry = await startRegistry({
      token: {
        realm: tokens.realm,
        service: TokenServer.service,
        issuer: TokenServer.issuer,
        rootCertificates: ca.certificate,
      },
    });
    engine = new TestEngine();
    open = makeImage();
    closed = makeImage();
    const pusher = new TestEngine();
    // Seeding goes through a token as well.
    for (const [repository, image] of [
      ["public/app", open],
      ["team/app", closed],
    ] as const) {
      const scope = `repository:${repository}:pull,push`;
      const response = await fetch(`${tokens.realm}?service=${TokenServer.service}&scope=${scope}`, {
        headers: basic({ username: "ann", password: "secret" }),
      });
      const { token } = (await response.json()) as { token: string };
      await seed(registry.url, repository, "1", image, { authorization: `Bearer ${token}` });
    }
    await pusher.close();
  });
  afterAll(async () => {
    tokens.stop();
    ca.close();
    await registry.stop();
    await engine.close();
  });
  const credentials = { username: "ann", password: "secret" };

  test("anonymous pull of what is public, with one token for all its blobs", async () => {
    const before = tokens.asked.length;
    await engine.pull(`${registry.host}/public/app:1`);
    expect(engine.images.resolve(`${registry.host}/public/app:1`).id).toBe(open.config.digest as never);
    expect(tokens.asked.slice(before)).toEqual([
      { method: "GET", scopes: ["repository:public/app:pull"], account: null, grant: null },
    ]);
  });

  test("what is private needs a user", async () => {
    const name = `${registry.host}/team/app:1`;
    await expect(engine.pull(name)).rejects.toThrow(/denied|unauthorized/);
    await expect(engine.pull(name, { credentials: { ...credentials, password: "no" } })).rejects.toThrow(
      "incorrect username or password",
    );
    await engine.pull(name, { credentials });
    expect(engine.images.resolve(name).id).toBe(closed.config.digest as never);
  });

  test("push asks for the right to push, and to pull from where it mounts", async () => {
    await engine.pull(`${registry.host}/team/app:1`, { credentials });
    engine.images.tag(`${registry.host}/team/app:1`, `${registry.host}/team/copy`, "1");
    const before = tokens.asked.length;
    await engine.push(`${registry.host}/team/copy`, { tag: "1", credentials });
    const scopes = tokens.asked.slice(before).map((asked) => [...asked.scopes].sort());
    expect(scopes).toContainEqual(["repository:team/copy:pull,push"]);
    expect(scopes).toContainEqual(["repository:team/app:pull", "repository:team/copy:pull,push"]);
    const remote = await engine.images.inspectRemote(`${registry.host}/team/copy:1`, { credentials });
    expect(remote.Descriptor.digest).toBe(closed.manifest.digest);
  });

  test("login gets a refresh token, which then stands for the password", async () => {
    const identityToken = await engine.distribution.login(registry.host, credentials);
    expect(tokens.refreshTokens.has(identityToken ?? "")).toBe(true);
    const other = new TestEngine();
    try {
      await other.pull(`${registry.host}/team/app:1`, { credentials: { identityToken } });
      expect(tokens.asked.at(-1)).toMatchObject({ method: "POST", grant: "refresh_token" });
      await expect(
        other.images.inspectRemote(`${registry.host}/team/app:1`, { credentials: { identityToken: "x" } }),
      ).rejects.toThrow("incorrect username or password");
    } finally {
      await other.close();
    }
  });

  test("a token that died is renewed once, in the middle of a pull", async () => {
    const image = makeImage({ layers: 4 });
    const scope = "repository:team/dying:pull,push";
    const response = await fetch(`${tokens.realm}?service=${TokenServer.service}&scope=${scope}`, {
      headers: basic(credentials),
    });
    const { token } = (await response.json()) as { token: string };
    await seed(registry.url, "team/dying", "1", image, { authorization: `Bearer ${token}` });
    const proxy = await new FaultProxy(registry.url).start();
    try {
      let refused = 0;
      proxy.plan = (seen, before) => {
        if (seen.method !== "GET" || !seen.path.includes("/blobs/") || before > 0) return undefined;
        refused++;
        const challenge = `Bearer realm="${tokens.realm}",service="${TokenServer.service}",error="invalid_token"`;
        return { kind: "status", status: 401, headers: { "www-authenticate": challenge } };
      };
      await engine.pull(`${proxy.host}/team/dying:1`, { credentials });
      expect(refused).toBeGreaterThan(0);
      expect(engine.images.resolve(`${proxy.host}/team/dying:1`).id).toBe(image.config.digest as never);
    } finally {
      proxy.stop();
    }
  });

  test("a realm that is no http address is never asked", async () => {
    for (const realm of ["file:///etc/passwd", "gopher://x/", "not a url", "unix:///run/x.sock"]) {
      const server = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: () =>
          new Response("", { status: 401, headers: { "www-authenticate": `Bearer realm="${realm}",service="x"` } }),
      });
      try {
        await expect(engine.pull(`127.0.0.1:${server.port}/x:1`, { credentials })).rejects.toThrow(/realm/);
      } finally {
        server.stop(true);
      }
    }
  });
});

describe.skipIf(!registryInstalled)("TLS", () => {
  let ca: TestCa;
  let registry: RunningRegistry;
  let dir = "";
  let image: TestImage;
  beforeAll(async () => {
    ca = new TestCa();
    registry = await startRegistry({ tls: ca.issue("server") });
    dir = await mkdtemp(join(tmpdir(), "gantry-certs-"));
    image = makeImage();
    await seed(registry.url, "app", "1", image);
  });
  afterAll(async () => {
    await registry.stop();
    ca.close();
    await rm(dir, { recursive: true });
  });

  test("certs.d is what is trusted, on loopback too", async () => {
    const engine = new TestEngine({ certificateDirs: [dir] });
    try {
      await mkdir(join(dir, registry.host), { recursive: true });
      const other = new TestCa("another CA");
      await writeFile(join(dir, registry.host, "ca.crt"), other.certificate);
      other.close();
      await expect(engine.pull(`${registry.host}/app:1`)).rejects.toThrow(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
      );
    } finally {
      await engine.close();
    }
    await writeFile(join(dir, registry.host, "ca.crt"), ca.certificate);
    const second = new TestEngine({ certificateDirs: [dir] });
    try {
      await second.pull(`${registry.host}/app:1`);
      expect(second.images.resolve(`${registry.host}/app:1`).id).toBe(image.config.digest as never);
    } finally {
      await second.close();
    }
  });

  test("a listed registry is not verified; neither is an unlisted one on loopback without certs.d", async () => {
    for (const insecureRegistries of [[registry.host], ["127.0.0.0/8"], []]) {
      const engine = new TestEngine({ insecureRegistries });
      try {
        await engine.pull(`${registry.host}/app:1`);
      } finally {
        await engine.close();
      }
    }
  });

  test("client certificates", async () => {
    const strict = await startRegistry({ tls: { ...ca.issue("strict"), clientCa: ca.certificate } });
    const client = ca.issue("client", "client");
    const place = join(dir, strict.host);
    await mkdir(place, { recursive: true });
    await writeFile(join(place, "ca.crt"), ca.certificate);
    const engine = new TestEngine({ certificateDirs: [dir] });
    try {
      await expect(engine.pull(`${strict.host}/app:1`)).rejects.toThrow();
      await writeFile(join(place, "client.cert"), client.certificate);
      const halfway = new TestEngine({ certificateDirs: [dir] });
      await expect(halfway.pull(`${strict.host}/app:1`)).rejects.toThrow(
        "missing key client.key for client certificate client.cert",
      );
      await halfway.close();
      await writeFile(join(place, "client.key"), client.key);
      const right = new TestEngine({ certificateDirs: [dir] });
      await expect(right.pull(`${strict.host}/app:1`)).rejects.toThrow("manifest unknown");
      await right.close();
    } finally {
      await engine.close();
      await strict.stop();
    }
  });

  test("plain HTTP where it is not allowed is refused", async () => {
    const plain = await startRegistry();
    const engine = new TestEngine({ certificateDirs: [dir] });
    try {
      await mkdir(join(dir, plain.host), { recursive: true });
      await expect(engine.pull(`${plain.host}/app:1`)).rejects.toThrow(
        "http: server gave HTTP response to HTTPS client",
      );
    } finally {
      await engine.close();
      await plain.stop();
    }
  });
});
