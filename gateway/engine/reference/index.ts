/** The door of the reference engine: the gateway's own exchange between wires that `node:http` reads and writes. */
import type { Engine, EngineOptions } from "../engine.ts";
import { HttpEngine, type Wires } from "../http-engine.ts";
import { ReferencePeerConnection } from "./peer-connection.ts";
import { openClients } from "./server.ts";

const wires: Wires = {
  clients: openClients,
  connect: (host, peer, tls, owner, connectTimeoutMs) =>
    new ReferencePeerConnection(host, peer, tls, owner, connectTimeoutMs),
};

/**
 * Makes an engine that uses `node:http` for HTTP/1.1 on both sides, for comparison with the gateway's own. It accepts
 * nothing before `listen`.
 */
export function createReferenceEngine<Context>(options: EngineOptions<Context>): Engine {
  return new HttpEngine(options, wires);
}
