/**
 * The engine with the least handler that forwards: one peer, nothing recorded. `ORIGIN-PORT [http1|h2c [CHAIN KEY]]`: what
 * the origin speaks, and the files of a certificate for TLS to clients. Prints its port, and one without TLS.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Peer, Target } from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import { TlsEndpoint } from "../../gateway/engine/listening/tls-endpoint.ts";
import type { ListenerTls } from "../../gateway/engine/tls.ts";

const [, , originPort = "", protocol = "http1", chain, key = ""] = process.argv;
if (protocol !== "http1" && protocol !== "h2c") throw new Error(`${protocol} is no protocol`);
const target = new Target(new Peer("127.0.0.1", Number(originPort)), { protocol });
const engine = createHttpEngine<null>({
  handler: {
    onRequest: () => {},
    onPick: (exchange) => (exchange.tried(target.peer) ? null : target),
    onResponse: () => {},
    onTryEnd: () => {},
    onEnd: () => {},
  },
  idPrefix: "bench",
  // A listener that is idle while the others have their turn must not lose its connections, and no contender ends one after
  // so many requests: to a load generator for HTTP/2, the requests that it meant to send on it have failed.
  limits: { idleTimeoutMs: 600_000, maxRequestsPerConnection: 0 },
  listeners: [{}, chain === undefined ? {} : { tls: listenerTls(chain, key) }],
  onError: (error) => {
    throw error;
  },
});
const plain = await engine.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 });
process.stdout.write(`plain ${plain.port}\n`);
if (chain === undefined) {
  process.stdout.write(`port ${plain.port}\n`);
} else {
  const { port } = await engine.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, 1);
  process.stdout.write(`port ${port}\n`);
}

function listenerTls(chainFile: string, keyFile: string): ListenerTls {
  const tickets = [randomBytes(48).toString("base64")];
  const endpoint = new TlsEndpoint({
    pairs: [{ chain: readFileSync(chainFile, "utf8"), key: readFileSync(keyFile, "utf8") }],
    profile: "intermediate",
    protocols: ["h2", "http/1.1"],
    tickets: () => tickets,
    clients: null,
    now: Date.now,
    identity: "bench",
  });
  const choice = { endpoint, clientRule: "", covers: () => true };
  return { choose: () => choice };
}
