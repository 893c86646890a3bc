import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  certificate: string;
  key: string;
}

/** A private CA, made by openssl, and what it signs. */
export class TestCa {
  readonly certificate: string;
  readonly #dir = mkdtempSync(join(tmpdir(), "gantry-ca-"));

  constructor(name = "gantry test CA") {
    this.#openssl(
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ["-subj", `/CN=${name}`, "-keyout", "ca.key", "-out", "ca.crt"],
    );
    this.certificate = readFileSync(join(this.#dir, "ca.crt"), "utf8");
  }

  /** A certificate for 127.0.0.1 and localhost, or for a client. */
  issue(name: string, use: "server" | "client" = "server"): Certificate {
    this.#openssl(
      ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ["-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`],
    );
    const names = use === "server" ? "subjectAltName=IP:127.0.0.1,DNS:localhost\n" : "";
    writeFileSync(join(this.#dir, "ext"), `${names}extendedKeyUsage=${use}Auth\n`);
    this.#openssl(
      ["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"],
      ["-extfile", "ext", "-out", `${name}.crt`],
    );
    const read = (suffix: string) => readFileSync(join(this.#dir, `${name}.${suffix}`), "utf8");
    return { certificate: read("crt"), key: read("key") };
  }

  close(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #openssl(...parts: string[][]): void {
    const run = Bun.spawnSync(["openssl", ...parts.flat()], { cwd: this.#dir, stdout: "pipe", stderr: "pipe" });
    if (run.exitCode !== 0) throw new Error(`openssl: ${run.stderr.toString()}`);
  }
}
