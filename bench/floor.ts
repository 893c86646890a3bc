/**
 * What the `docker` CLI itself takes for `exec`: its time against a server that answers every request at once and runs nothing. No
 * engine can be quicker than that through this CLI. Usage: bun bench/floor.ts [runs]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";

const runs = process.argv[2] ?? "50";
const folder = mkdtempSync(join(tmpdir(), "gantry-floor-"));
const path = join(folder, "floor.sock");
const HEADERS = "Api-Version: 1.48\r\nOstype: linux\r\nServer: Floor\r\n";

function answer(socket: Socket, line: string): void {
  const json = (status: string, body: string) =>
    socket.write(
      `HTTP/1.1 ${status}\r\n${HEADERS}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  if (/_ping/.test(line)) socket.write(`HTTP/1.1 200 OK\r\n${HEADERS}Content-Length: 0\r\n\r\n`);
  else if (/ \S*\/exec\/id\/start/.test(line)) {
    socket.end(
      `HTTP/1.1 101 UPGRADED\r\n${HEADERS}Content-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
  } else if (/ \S*\/exec\/id\/json/.test(line)) json("200 OK", '{"ID":"id","Running":false,"ExitCode":0}');
  else if (/^POST \S*\/exec /.test(line)) json("201 Created", '{"Id":"id"}');
  else json("200 OK", '{"Id":"box","Config":{"Tty":false},"State":{"Running":true}}');
}

const server = createServer((socket) => {
  let text = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      const line = text.slice(0, text.indexOf("\r\n"));
      text = text.slice(end + 4 + length);
      answer(socket, line);
    }
  });
});
server.listen(path);
try {
  await $`hyperfine -N -w 5 -r ${runs} ${`docker -H unix://${path} exec box true`}`;
} finally {
  server.close();
  rmSync(folder, { recursive: true });
}
