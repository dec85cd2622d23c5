/** The door of the gateway's own engine. */
import { ClientConnection } from "./downstream/http1/client-connection.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { HttpEngine, type Wires } from "./http-engine.ts";
import { PeerConnection } from "./upstream/http1/peer-connection.ts";

const wires: Wires = {
  clients: (host) => (socket, client) => new ClientConnection(host, socket, client),
  connect: (host, peer, tls, owner, connectTimeoutMs) =>
    new PeerConnection(host, peer, tls, owner, connectTimeoutMs),
};

/** Makes an engine that serves HTTP/1.1 (RFC 9112) on `net` sockets. It accepts nothing before `listen`. */
export function createHttpEngine<Context>(options: EngineOptions<Context>): Engine {
  return new HttpEngine(options, wires);
}
