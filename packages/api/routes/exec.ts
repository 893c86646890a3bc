import { checkExecStart, createExec, type Engine, inspectExec, sizeOf, startExec } from "@gantry/engine";
import type { AttachStream } from "@gantry/libcontainer";
import { conflict, ExecConfig, ExecStartRequest, invalidParameter, messageOf } from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";
import { terminalSide } from "./containers.ts";
import { frame, unframer } from "./frames.ts";
import { hijackedType, pump } from "./stdio.ts";

const text = Type.Optional(Type.String());

/** Processes in running containers: create, start (attached or not), inspect, resize. */
export function execRoutes(engine: Engine): Route[] {
  return [
    route(
      "POST",
      "/containers/{name:.*}/exec",
      { body: ExecConfig, bodyName: "ExecCreateRequest" },
      async (context) => {
        if ((context.body.Cmd?.length ?? 0) === 0) throw invalidParameter("No exec command specified");
        context.json({ Id: await createExec(engine, context.params["name"] as string, context.body) }, 201);
      },
    ),
    route(
      "POST",
      "/exec/{id}/start",
      { body: ExecStartRequest, bodyName: "ExecStartRequest", bodyOptional: true },
      async (context) => {
        const exec = engine.execs.get(context.params["id"] as string);
        const { Detach, Tty, ConsoleSize } = context.body;
        checkExecStart(exec);
        if (Detach === true) {
          await startExec(engine, exec, sizeOf(ConsoleSize), null, () => {});
          context.empty(200);
          return;
        }
        const { config } = exec;
        const tty = config.Tty === true;
        // How the answer is framed is for the start request to say, whatever the process has.
        const raw = Tty === true;
        const client = context.hijack(hijackedType(raw, context));
        let stream: AttachStream | null = null;
        try {
          await startExec(
            engine,
            exec,
            sizeOf(ConsoleSize),
            {
              stdin: config.AttachStdin === true,
              stdout: config.AttachStdout === true,
              stderr: config.AttachStderr === true,
            },
            (attached) => {
              stream = attached;
            },
          );
        } catch (error) {
          // The answer has begun: the words go where the output would have gone.
          const words = Buffer.from(`${messageOf(error)}\r\n`);
          await client.headTaken();
          client.write(raw ? words : frame(1, words));
          client.close();
          return;
        }
        if (stream === null) {
          client.close();
          return;
        }
        await pump(client, stream, {
          stdin: config.AttachStdin === true,
          closeStdin: true,
          output: raw === tty ? undefined : raw ? unframer() : (chunk) => frame(1, chunk),
          detachKeys: tty && config.AttachStdin === true ? (config.DetachKeys ?? "") : null,
          // Clients ask for the exit code as soon as the connection ends.
          beforeClose: () => exec.done,
          onDetach: () => exec.container.emit("exec_detach", { execID: exec.id }),
        });
      },
    ),
    route("GET", "/exec/{id}/json", {}, (context) => {
      context.json(inspectExec(engine.execs.get(context.params["id"] as string)));
    }),
    route("POST", "/exec/{id}/resize", { query: Type.Object({ h: text, w: text }) }, async (context) => {
      const [h, w] = [terminalSide("height", context.query.h), terminalSide("width", context.query.w)];
      const exec = engine.execs.get(context.params["id"] as string);
      if (!exec.running || exec.task === null) throw conflict(`exec ${exec.id} is not running`);
      await exec.task.resize(h, w);
      context.empty(200);
    }),
  ];
}
