import { messageOf } from "@gantry/spec";
import type { BuildOutput } from "../contract.ts";
import { RunFailed } from "../exec/run.ts";

/** How many characters of an ID are shown. */
const SHORT = 12;

/** The first twelve characters of an ID, without its algorithm. */
export function shortId(id: string): string {
  return id.replace(/^sha(?:256|512):/, "").slice(0, SHORT);
}

/** Writes what the classic builder prints, in the messages it prints it in. */
export class ClassicPrinter {
  private readonly decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  constructor(private readonly output: BuildOutput) {}

  async text(text: string): Promise<void> {
    await this.output.message({ stream: text });
  }

  line(text: string): Promise<void> {
    return this.text(`${text}\n`);
  }

  async step(number: number, total: number, code: string): Promise<void> {
    await this.text(`Step ${number}/${total} : ${code}`);
    await this.text("\n");
  }

  usingCache(): Promise<void> {
    return this.line(" ---> Using cache");
  }

  running(containerId: string): Promise<void> {
    return this.line(` ---> Running in ${shortId(containerId)}`);
  }

  removed(containerId: string): Promise<void> {
    return this.line(` ---> Removed intermediate container ${shortId(containerId)}`);
  }

  image(id: string): Promise<void> {
    return this.line(` ---> ${shortId(id)}`);
  }

  /** Output of a command; errors are shown in red, as Docker does. */
  async commandOutput(stream: "stdout" | "stderr", data: Uint8Array): Promise<void> {
    const text = this.decoders[stream].decode(data, { stream: true });
    if (text !== "") await this.text(stream === "stderr" ? `\x1b[91m${text}\x1b[0m` : text);
  }

  async aux(id: string): Promise<void> {
    await this.output.message({ aux: { ID: id } });
  }

  async raw(message: object): Promise<void> {
    await this.output.message(message);
  }
}

/** The last message of a failed build. */
export function errorMessage(error: unknown): { errorDetail: { code?: number; message: string }; error: string } {
  const message = messageOf(error);
  return { errorDetail: error instanceof RunFailed ? { code: error.code, message } : { message }, error: message };
}
