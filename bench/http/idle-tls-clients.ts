/** Opens so many TLS connections to a port, says so, and keeps them until it is ended. */
import { once } from "node:events";
import { connect, createSecureContext, type TLSSocket } from "node:tls";

const [, , port = "", count = ""] = process.argv;
const open: TLSSocket[] = [];
const secureContext = createSecureContext();
/** At once: the server is not to be tested for its queue here. */
const together = 50;

async function openOne(): Promise<void> {
  const socket = connect({
    ...{ host: "127.0.0.1", port: Number(port), servername: "bench.example" },
    ...{ secureContext, rejectUnauthorized: false },
  });
  await once(socket, "secureConnect");
  open.push(socket);
}

const wanted = Number(count);
while (open.length < wanted) {
  const missing = Math.min(together, wanted - open.length);
  await Promise.all(Array.from({ length: missing }, openOne));
}
process.stdout.write(`open ${open.length}\n`);
