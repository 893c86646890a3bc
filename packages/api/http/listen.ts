import { chmodSync, chownSync, lstatSync, rmSync } from "node:fs";
import { Connection, type Handler } from "./connection.ts";

export interface TlsOptions {
  cert: string;
  key: string;
  ca?: string;
  /** Refuse clients without a certificate signed by `ca`. */
  verify: boolean;
}

/** A listening socket. `address` is as given to `-H`, with the port that was bound. */
export interface Listening {
  readonly address: string;
  /** Takes no new connections; those open go on unless `force`. */
  close(force?: boolean): void;
}

/**
 * Serves HTTP on a unix socket. An old socket file is replaced (the caller holds the pid file, so that it is debris);
 * anything else at the path is refused. Mode 0660, owned by root and `gid`.
 */
export function listenUnix(path: string, handler: Handler, gid?: number): Listening {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there !== undefined) {
    if (!there.isSocket()) throw new Error(`failed to listen on unix socket ${path}: the path exists and is no socket`);
    rmSync(path);
  }
  const umask = process.umask(0o117);
  try {
    const open = new Set<Connection>();
    const server = Bun.listen<Connection>({
      unix: path,
      allowHalfOpen: true,
      socket: handlers(handler, open),
    } as unknown as Parameters<typeof Bun.listen<Connection>>[0]);
    chmodSync(path, 0o660);
    if (gid !== undefined) chownSync(path, 0, gid);
    return {
      address: `unix://${path}`,
      close: (force) => {
        server.stop(false);
        rmSync(path, { force: true });
        if (force === true) for (const connection of [...open]) connection.close();
      },
    };
  } finally {
    process.umask(umask);
  }
}

/** Serves HTTP on a TCP port, with TLS where given. Port 0 takes a free one. */
export function listenTcp(hostname: string, port: number, handler: Handler, tls?: TlsOptions): Listening {
  const open = new Set<Connection>();
  const server = Bun.listen<Connection>({
    hostname,
    port,
    allowHalfOpen: true,
    socket: handlers(handler, open),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            cert: tls.cert,
            key: tls.key,
            ...(tls.ca === undefined ? {} : { ca: tls.ca }),
            requestCert: tls.verify,
            rejectUnauthorized: tls.verify,
          },
        }),
  } as unknown as Parameters<typeof Bun.listen<Connection>>[0]);
  return {
    address: `tcp://${hostname}:${(server as unknown as { port: number }).port}`,
    close: (force) => {
      server.stop(false);
      if (force === true) for (const connection of [...open]) connection.close();
    },
  };
}

function handlers(handler: Handler, open: Set<Connection>) {
  return {
    open(socket: Bun.Socket<Connection>) {
      socket.data = new Connection(socket, handler, socket.remoteAddress ?? "");
      open.add(socket.data);
    },
    data(socket: Bun.Socket<Connection>, chunk: Buffer) {
      socket.data?.onData(chunk);
    },
    drain(socket: Bun.Socket<Connection>) {
      socket.data?.onDrain();
    },
    end(socket: Bun.Socket<Connection>) {
      socket.data?.onEnd();
    },
    close(socket: Bun.Socket<Connection>) {
      socket.data?.onClose();
      if (socket.data !== undefined) open.delete(socket.data);
    },
    error(socket: Bun.Socket<Connection>) {
      socket.data?.close();
    },
    timeout(socket: Bun.Socket<Connection>) {
      socket.data?.close();
    },
  };
}
