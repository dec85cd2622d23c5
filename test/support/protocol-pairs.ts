/** Clients and peers that differ in the protocol that they speak, and in nothing else. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  ServerResponse,
} from "node:http";
import {
  connect,
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { buffer } from "node:stream/consumers";
import type { TestCertificate } from "./certificates.ts";
import { type Asked, type GatewayAnswer, send } from "./gateway.ts";
import { sendTls } from "./https.ts";

export const peerProtocols = ["http1", "https", "h2c", "h2"] as const;
export type PeerProtocol = (typeof peerProtocols)[number];

/** What a peer saw of a request, whatever it was asked in. */
export interface Seen {
  readonly peer: string;
  /** The version of HTTP that it was asked in. */
  readonly version: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface ProtocolPeer {
  readonly server: { readonly host: string; readonly port: number };
  /** Cuts its connections. */
  close(): void;
}

/**
 * A peer that tells what it was asked, or gives the body of a POST back; `status` is that of all its answers. It breaks its
 * answer to `/cut` off.
 */
export async function startProtocolPeer(
  protocol: PeerProtocol,
  name: string,
  { cert, key }: TestCertificate,
  status = 200,
): Promise<ProtocolPeer> {
  const answer = async (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ) => {
    const { method = "", url = "", headers, httpVersion: version } = request;
    // `null`: the gateway went away before it had sent all.
    const body = await buffer(request).catch(() => null);
    if (body === null) return;
    const seen: Seen = { peer: name, version, method, url, headers };
    response.statusCode = status;
    response.setHeader("x-peer", name);
    if (url === "/cut") {
      response.setHeader("content-length", "1000");
      const cut = () => void request.socket.destroy();
      if (response instanceof ServerResponse) response.write("half an answer", cut);
      else response.write("half an answer", "latin1", cut);
      return;
    }
    response.end(method === "POST" ? body : JSON.stringify(seen));
  };
  const server: Server = {
    http1: () => createServer(answer),
    https: () => createTlsServer({ cert, key }, answer),
    h2c: () => createHttp2Server(answer),
    h2: () => createSecureServer({ cert, key, allowHTTP1: false }, answer),
  }[protocol]();
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    server: { host: "127.0.0.1", port },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

export interface ProtocolAsked extends Omit<Asked, "agent"> {
  /** Shown over TLS, and of no use in clear. */
  readonly certificate?: TestCertificate;
}

export interface ProtocolClient {
  readonly name: string;
  readonly isTls: boolean;
  /** Rejects when the answer does not come whole. */
  ask(asked: ProtocolAsked): Promise<GatewayAnswer>;
}

export const clientNames = ["HTTP/1.1", "HTTPS", "h2c", "h2"] as const;

/** Each request on a connection of its own. */
export function protocolClient(
  name: (typeof clientNames)[number],
  ports: { readonly clear: number; readonly tls: number },
  ca: string,
): ProtocolClient {
  const { clear, tls } = ports;
  switch (name) {
    case "HTTP/1.1":
      return { name, isTls: false, ask: (asked) => send(clear, asked) };
    case "HTTPS":
      return {
        name,
        isTls: true,
        ask: (asked) => sendTls({ ...asked, ...asked.certificate, port: tls, ca }),
      };
    case "h2c":
      return { name, isTls: false, ask: (asked) => sendHttp2(clear, asked, null) };
    case "h2":
      return { name, isTls: true, ask: (asked) => sendHttp2(tls, asked, ca) };
  }
}

function sendHttp2(port: number, asked: ProtocolAsked, ca: string | null): Promise<GatewayAnswer> {
  const { host, path = "/", method = "GET", headers = {}, body, certificate } = asked;
  const { promise, resolve, reject } = Promise.withResolvers<GatewayAnswer>();
  const session =
    ca === null
      ? connect(`http://127.0.0.1:${port}`)
      : connect(`https://127.0.0.1:${port}`, {
          ...{ ca, servername: host, checkServerIdentity: () => undefined, ...certificate },
        });
  session.once("error", reject);
  const stream = session.request(
    { ":method": method, ":path": path, ":authority": host, ...headers },
    { endStream: body === undefined },
  );
  let head: IncomingHttpHeaders & { readonly ":status"?: number | undefined } = {};
  stream.once("response", (fields) => {
    head = fields;
  });
  stream.once("error", reject);
  stream.once("aborted", () => reject(new Error("the stream was reset")));
  buffer(stream).then((bytes) => {
    const { ":status": status = 0, ...fields } = head;
    resolve({ status, headers: fields, body: bytes.toString(), isReused: false });
  }, reject);
  if (body !== undefined) stream.end(body);
  return promise.finally(() => session.destroy());
}
