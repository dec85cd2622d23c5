/** The engine over TLS with the least handler that forwards: the certificate's file, its key's, the origin's port. Prints its port. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Peer, Target } from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import { TlsEndpoint } from "../../gateway/engine/listening/tls-endpoint.ts";

const [, , chain = "", key = "", originPort = ""] = process.argv;
const target = new Target(new Peer("127.0.0.1", Number(originPort)));
const tickets = [randomBytes(48).toString("base64")];
const endpoint = new TlsEndpoint({
  pairs: [{ chain: readFileSync(chain, "utf8"), key: readFileSync(key, "utf8") }],
  profile: "intermediate",
  protocols: ["h2", "http/1.1"],
  tickets: () => tickets,
  clients: null,
  identity: "bench",
});
const choice = { endpoint, clientRule: "", covers: () => true };
const engine = createHttpEngine<null>({
  handler: {
    onRequest: () => {},
    onPick: (exchange) => (exchange.tried(target.peer) ? null : target),
    onResponse: () => {},
    onTryEnd: () => {},
    onEnd: () => {},
  },
  idPrefix: "bench",
  limits: { idleTimeoutMs: 600_000 },
  listeners: [{ tls: { choose: () => choice } }],
  onError: (error) => {
    throw error;
  },
});
const { port } = await engine.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 });
process.stdout.write(`port ${port}\n`);
