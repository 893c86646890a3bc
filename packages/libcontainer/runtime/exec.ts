import { type AttachRequest, type AttachStream, type ExecTask, type ExitStatus, StartError } from "../contract.ts";
import { openAttachment } from "./attach.ts";
import { type ControlConnection, ShimError } from "./control.ts";
import type { ExecGate } from "./exec-gate.ts";
import { decodeExit, decodePid, Op, signalBody, sizeBody } from "./protocol.ts";

const START_CODES = [125, 126, 127] as const;

/** The shim's account of why something did not start, as the contract's error; anything else as it is. */
export function asStartError(error: unknown): unknown {
  if (!(error instanceof ShimError)) return error;
  const { message, exitCode, errno } = error.failure;
  const code = START_CODES.find((one) => one === exitCode) ?? 125;
  return new StartError(message, code, errno);
}

/** A process that was started in a running container. */
export class GantryExec implements ExecTask {
  readonly id: string;
  readonly #control: ControlConnection;
  readonly #gate: ExecGate;
  readonly #stateDir: string;
  #pid: number;
  readonly #startFailure: (error: unknown) => unknown;
  #exit: Promise<ExitStatus> | null = null;

  constructor(
    id: string,
    stateDir: string,
    control: ControlConnection,
    gate: ExecGate,
    pid: number,
    startFailure: (error: unknown) => unknown,
  ) {
    this.#startFailure = startFailure;
    this.#gate = gate;
    this.id = id;
    this.#stateDir = stateDir;
    this.#control = control;
    this.#pid = pid;
  }

  get pid(): number {
    return this.#pid;
  }

  attach(request: AttachRequest): Promise<AttachStream> {
    return openAttachment(this.#stateDir, this.id, request);
  }

  async start(): Promise<void> {
    try {
      const started = this.#gate.pass(() => {
        const asked = this.#control.request(Op.start, this.id);
        // in the same breath: the shim forgets an exec only once somebody has heard of its end
        this.wait().catch(() => {});
        return asked;
      });
      this.#pid = decodePid(await started);
    } catch (error) {
      throw this.#startFailure(error);
    }
  }

  async resize(height: number, width: number): Promise<void> {
    await this.#control.request(Op.resize, this.id, sizeBody(height, width));
  }

  async kill(signal: number): Promise<void> {
    await this.#control.request(Op.kill, this.id, signalBody(signal));
  }

  async discard(): Promise<void> {
    try {
      // Where nothing was made yet (an external runtime) there is nothing to wait for either.
      await this.#control.request(Op.forget, this.id);
    } catch {
      await this.#control.request(Op.kill, this.id, signalBody(9));
      await this.wait();
    }
  }

  wait(): Promise<ExitStatus> {
    this.#exit ??= this.#control.request(Op.wait, this.id).then(decodeExit);
    return this.#exit;
  }
}
