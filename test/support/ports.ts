/** Ports of this machine that nobody uses now, for what cannot be given the port 0. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/** Another process may take it meanwhile, which is as unlikely as the system's choice is wide. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port was bound");
  return address.port;
}

export async function freeDatagramPort(): Promise<number> {
  const socket = createSocket("udp4");
  const { port } = socket.bindSync({ address: "127.0.0.1", port: 0 });
  socket.close();
  await once(socket, "close");
  return port;
}
