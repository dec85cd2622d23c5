/**
 * Bounds the connections of an HTTP server for operators, so that silent clients keep nobody waiting: when there is
 * no room, the connection that has been silent for longest makes room for a new one. The admin API and the embedded
 * agent share it.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Connection {
  readonly socket: Socket;
  /** What is being answered on it; `null`: nothing is. */
  request: IncomingMessage | null;
}

/** A new connection is closed only when `most` others are all being answered. */
export function limitConnections(server: Server, most: number): void {
  /** The one that has been silent for longest first. */
  const open = new Map<string, Connection>();
  server.on("connection", (socket: Socket) => {
    const key = keyOf(socket);
    if (key === null) return;
    if (open.size >= most && !makeRoom(open)) {
      socket.destroy();
      return;
    }
    const connection: Connection = { socket, request: null };
    open.set(key, connection);
    socket.once("close", () => {
      if (open.get(key) === connection) open.delete(key);
    });
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const key = keyOf(request.socket);
    const connection = key === null ? undefined : open.get(key);
    if (key === null || connection === undefined) return;
    connection.request = request;
    response.once("close", () => {
      if (connection.request !== request || open.get(key) !== connection) return;
      connection.request = null;
      open.delete(key);
      open.set(key, connection);
    });
  });
}

/** Closes one whose client has not sent a whole request; `false`: there is none. */
function makeRoom(open: Map<string, Connection>): boolean {
  for (const [key, { socket, request }] of open) {
    if (request?.complete) continue;
    open.delete(key);
    socket.destroy();
    return true;
  }
  return false;
}

/** With TLS a request has another socket than the connection that it came by; `null`: it is closed already. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
  if (remoteAddress === undefined) return null;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
