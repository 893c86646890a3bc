import { createPrivateKey, createSign, randomUUID, X509Certificate } from "node:crypto";
import type { Certificate } from "./certificates.ts";

interface Asked {
  method: string;
  scopes: string[];
  account: string | null;
  grant: string | null;
}

/** A token server as the distribution project specifies it: GET with basic auth, POST for OAuth2 grants. */
export class TokenServer {
  static readonly issuer = "test-issuer";
  static readonly service = "test-service";
  /** Every request so far. */
  readonly asked: Asked[] = [];
  /** Seconds a token is said to live, and really lives. */
  lifetime = 300;
  /** Accepts refresh tokens that it gave. */
  readonly refreshTokens = new Set<string>();
  readonly #server: ReturnType<typeof Bun.serve>;
  readonly #signer: Certificate;
  readonly #users: Record<string, string>;

  /** Repositories whose name begins with `public/` may be pulled by anyone, all else by users only. */
  constructor(signer: Certificate, users: Record<string, string>) {
    this.#signer = signer;
    this.#users = users;
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => this.#answer(request) });
  }

  get realm(): string {
    return `http://127.0.0.1:${this.#server.port}/token`;
  }

  stop(): void {
    this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const form = request.method === "POST" ? new URLSearchParams(await request.text()) : url.searchParams;
    const scopes = form.getAll("scope").flatMap((scope) => scope.split(" ").filter(Boolean));
    const grant = form.get("grant_type");
    this.asked.push({ method: request.method, scopes, account: form.get("account"), grant });
    let user: string | undefined;
    if (grant === "refresh_token") {
      if (!this.refreshTokens.has(form.get("refresh_token") ?? "")) return this.#refuse();
      user = "refreshed";
    } else {
      const authorization = request.headers.get("authorization");
      if (authorization) {
        const plain = Buffer.from(authorization.replace(/^Basic /, ""), "base64").toString();
        const [name = "", password] = plain.split(":");
        if (this.#users[name] !== password) return this.#refuse();
        user = name;
      }
    }
    const access = scopes.flatMap((scope) => {
      const [type = "", name = "", actions = ""] = scope.split(":");
      const granted = user ? actions.split(",") : name.startsWith("public/") ? ["pull"] : [];
      return granted.length > 0 ? [{ type, name, actions: granted }] : [];
    });
    const body: Record<string, unknown> = { token: this.#sign(user ?? "", access), expires_in: this.lifetime };
    if (form.get("offline_token") === "true" && user) {
      const refresh = randomUUID();
      this.refreshTokens.add(refresh);
      body["refresh_token"] = refresh;
    }
    return Response.json(body);
  }

  #refuse(): Response {
    const errors = [{ code: "UNAUTHORIZED", message: "incorrect username or password" }];
    return Response.json({ errors }, { status: 401 });
  }

  #sign(subject: string, access: unknown[]): string {
    const now = Math.floor(Date.now() / 1000);
    const der = new X509Certificate(this.#signer.certificate).raw.toString("base64");
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = {
      iss: TokenServer.issuer,
      sub: subject,
      aud: TokenServer.service,
      exp: now + this.lifetime,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const text = `${part({ typ: "JWT", alg: "ES256", x5c: [der] })}.${part(claims)}`;
    const key = createPrivateKey(this.#signer.key);
    return `${text}.${createSign("SHA256").update(text).sign({ key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}
