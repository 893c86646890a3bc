import { spawn } from "node:child_process";

/** What a helper keeps for a registry. A user name of `<token>` says that the secret is an identity token. */
export interface HelperCredentials {
  ServerURL: string;
  Username: string;
  Secret: string;
}

const NOT_FOUND = "credentials not found in native keychain";
const MAX_OUTPUT = 1024 * 1024;
const TIMEOUT = 120_000;

/** A helper program, `docker-credential-<name>` on PATH, spoken to as docker-credential-helpers defines it. */
export class CredentialHelper {
  readonly #program: string;

  /** Throws an Error where the name is more than a name. */
  constructor(name: string) {
    if (!/^[A-Za-z0-9._+-]+$/.test(name)) throw new Error(`invalid credential helper name ${JSON.stringify(name)}`);
    this.#program = `docker-credential-${name}`;
  }

  /** The credentials of a registry, or undefined where the helper has none. */
  async get(server: string): Promise<HelperCredentials | undefined> {
    const { code, output } = await this.#run("get", server);
    if (code !== 0) {
      if (output.includes(NOT_FOUND)) return undefined;
      throw this.#failure("getting", output);
    }
    const value = JSON.parse(output) as Partial<HelperCredentials>;
    return { ServerURL: value.ServerURL || server, Username: value.Username ?? "", Secret: value.Secret ?? "" };
  }

  async store(credentials: HelperCredentials): Promise<void> {
    const { code, output } = await this.#run("store", JSON.stringify(credentials));
    if (code !== 0) throw this.#failure("storing", output);
  }

  async erase(server: string): Promise<void> {
    const { code, output } = await this.#run("erase", server);
    if (code !== 0 && !output.includes(NOT_FOUND)) throw this.#failure("erasing", output);
  }

  /** User names by registry. */
  async list(): Promise<Record<string, string>> {
    const { code, output } = await this.#run("list", "unused");
    if (code !== 0) throw this.#failure("listing", output);
    return JSON.parse(output) as Record<string, string>;
  }

  #failure(doing: string, output: string): Error {
    return new Error(`error ${doing} credentials - err: exit status 1, out: \`${output.trim().slice(0, 2000)}\``);
  }

  #run(action: string, input: string): Promise<{ code: number; output: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#program, [action], { stdio: ["pipe", "pipe", "inherit"], timeout: TIMEOUT });
      let output = "";
      child.stdout.setEncoding("utf8");
      child.stdout.on("data", (text: string) => {
        output += text;
        if (output.length > MAX_OUTPUT) child.kill("SIGKILL");
      });
      child.on("error", (error: NodeJS.ErrnoException) => {
        const missing = error.code === "ENOENT";
        const why = missing
          ? `exec: ${JSON.stringify(this.#program)}: executable file not found in $PATH`
          : error.message;
        reject(new Error(`error getting credentials - err: ${why}, out: \`\``));
      });
      child.on("close", (code) => resolve({ code: code ?? 1, output }));
      // A helper that ends without reading is judged by its exit code.
      child.stdin.on("error", () => {});
      child.stdin.end(input);
    });
  }
}
