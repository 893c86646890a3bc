/**
 * The relay's thread: gets accepted connections and their targets as lines of JSON on a control socket, and moves bytes until that is closed.
 */
import { libc, MSG } from "@gantry/sys";
import { Pipes } from "./pipes.ts";

export interface RelayOrder {
  fd: number;
  address: string;
  port: number;
}

export function serve(controlFd: number): void {
  const pipes = new Pipes();
  const buffer = new Uint8Array(16384);
  const decoder = new TextDecoder();
  let text = "";
  let open = true;
  pipes.watch(controlFd, () => {
    const n = Number(libc.recv(controlFd, buffer, buffer.length, MSG.DONTWAIT));
    if (n === 0) open = false;
    if (n <= 0) return;
    const lines = (text + decoder.decode(buffer.subarray(0, n), { stream: true })).split("\n");
    text = lines.pop()!;
    for (const line of lines) {
      const order = JSON.parse(line) as RelayOrder;
      pipes.add(order.fd, order.address, order.port);
    }
  });
  while (open) pipes.turn(-1);
  pipes.close();
}

declare const self: { onmessage: ((event: { data: { controlFd: number } }) => void) | null };
if (!Bun.isMainThread) {
  self.onmessage = (event) => {
    serve(event.data.controlFd);
    process.exit(0);
  };
}
