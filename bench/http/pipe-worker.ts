/**
 * A pipe from each client to the origin that looks at nothing: what a proxy on Node's sockets costs before
 * it has read a byte. Prints its port.
 */
import { connect, createServer } from "node:net";

const origin = { host: "127.0.0.1", port: Number(process.argv[2]), noDelay: true };
const server = createServer({ noDelay: true }, (client) => {
  const peer = connect(origin);
  client.on("data", (bytes) => peer.write(bytes));
  peer.on("data", (bytes) => client.write(bytes));
  for (const [socket, other] of [
    [client, peer],
    [peer, client],
  ] as const) {
    socket.on("error", () => {});
    socket.on("close", () => other.destroy());
  }
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP address");
  process.stdout.write(`port ${address.port}\n`);
});
