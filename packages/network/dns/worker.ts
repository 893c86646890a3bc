/**
 * The resolver's thread. It never returns to Bun's event loop: it waits in epoll for containers' queries and for lines
 * of JSON on a control socket (`Control`), so that neither a busy daemon delays names nor 50,000 queries a second delay
 * the daemon. Ends when the control socket is closed.
 */
import { libc, MSG } from "@gantry/sys";
import type { EndpointRecord } from "../resolver.ts";
import { DnsServer, type SandboxChange, type SandboxConfig } from "./server.ts";

export type Control =
  | { op: "sandbox"; config: SandboxConfig }
  | { op: "change"; change: SandboxChange }
  | { op: "unsandbox"; containerId: string }
  | { op: "endpoint"; record: EndpointRecord }
  | { op: "unendpoint"; networkId: string; containerId: string };

/** Serves until the control socket ends. */
export function serve(controlFd: number): void {
  const server = new DnsServer();
  let open = true;
  listenTo(server, controlFd, () => {
    open = false;
  });
  while (open) server.turn(60_000);
  server.unwatch(controlFd);
  server.close();
}

/** Has the server carry out what comes on the control socket, and says when it ended. */
export function listenTo(server: DnsServer, controlFd: number, ended: () => void): void {
  const buffer = new Uint8Array(65536);
  const decoder = new TextDecoder();
  let text = "";
  server.watchNews(controlFd, () => {
    for (;;) {
      const n = Number(libc.recv(controlFd, buffer, buffer.length, MSG.DONTWAIT));
      if (n === 0) ended();
      if (n <= 0) return;
      text += decoder.decode(buffer.subarray(0, n), { stream: true });
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) apply(server, JSON.parse(line) as Control);
    }
  });
}

/** Carries out one control message. */
export function apply(server: DnsServer, control: Control): void {
  switch (control.op) {
    case "sandbox":
      return server.addSandbox(control.config);
    case "change":
      return server.changeSandbox(control.change);
    case "unsandbox":
      return server.removeSandbox(control.containerId);
    case "endpoint":
      return server.records.set(control.record);
    case "unendpoint":
      return server.records.remove(control.networkId, control.containerId);
  }
}

declare const self: { onmessage: ((event: { data: { controlFd: number } }) => void) | null };
if (!Bun.isMainThread) {
  self.onmessage = (event) => {
    serve(event.data.controlFd);
    process.exit(0);
  };
}
