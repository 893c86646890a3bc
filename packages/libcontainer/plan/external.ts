import type { CreateRequest, Rootfs } from "../contract.ts";
import { Config, PLAN_MAGIC, PlanWriter, Rec, Step } from "./format.ts";
import { Propagation } from "./options.ts";
import { writeRoot } from "./rootfs.ts";

export interface ExternalPlan {
  request: Omit<CreateRequest, "spec" | "rootfs">;
  rootfs: Rootfs;
  mountPoint: string;
  /** Command lines of the runtime, with its path first. */
  create: string[];
  start: string[];
  environment: string[];
  /** Directory for the runtime's pid files ("init.pid", "<exec>.pid") and console sockets ("init.tty", …). */
  directory: string;
  oomFile: string;
}

/** The plan by which a shim lets another OCI runtime make the container. */
export function compileExternal(input: ExternalPlan): Uint8Array {
  const { request } = input;
  const { log, consoleSize } = request;
  const out = new PlanWriter();
  out.u32(PLAN_MAGIC);
  const flags =
    (request.terminal ? Config.terminal : 0) |
    (request.openStdin ? Config.openStdin : 0) |
    (request.stdinOnce ? Config.stdinOnce : 0) |
    Config.newPidNamespace;
  out.record(Rec.config, (body) =>
    body
      .u32(flags)
      .u32(0)
      .u16(consoleSize?.height ?? 0)
      .u16(consoleSize?.width ?? 0)
      .string(""),
  );
  out.record(Rec.exitFile, (body) => body.string(request.exitFile));
  if (log)
    out.record(Rec.log, (body) =>
      body
        .u64(log.maxSize)
        .u32(Math.max(1, log.maxFile))
        .string(log.path)
        .string(log.attrs ?? ""),
    );
  if (input.oomFile) out.record(Rec.oom, (body) => body.u32(0).string(input.oomFile));
  out.record(Rec.external, (body) =>
    body.list(input.create).list(input.start).list(input.environment).string(input.directory),
  );
  out.record(Rec.rootfs, (body) => {
    body.record(Step.propagation, (step) => step.u32(Propagation.slave | Propagation.recursive));
    // a ready directory is where it is; an overlay is mounted for the runtime to find
    if (input.rootfs.type === "overlay") writeRoot(body, input.rootfs, input.mountPoint);
  });
  return out.bytes();
}

/** An exec's "plan" of an external runtime: the command line that starts it. */
export function compileExternalExec(command: string[]): Uint8Array {
  const out = new PlanWriter();
  out.record(Rec.args, (body) => body.list(command));
  return out.bytes();
}
