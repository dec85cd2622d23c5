/** Requests over TLS to a port of this machine, and what the handshake said. */
import { request } from "node:https";
import { text as readText } from "node:stream/consumers";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Asked, GatewayAnswer } from "./gateway.ts";

export interface AskedTls extends Omit<Asked, "agent"> {
  readonly port: number;
  /** PEM. */
  readonly ca: string;
  /** Default: the host; empty: none. */
  readonly servername?: string;
  readonly cert?: string;
  readonly key?: string;
  /** A session to resume. */
  readonly session?: Buffer;
}

export interface TlsAnswer extends GatewayAnswer {
  readonly isResumed: boolean;
}

/** On a connection of its own. */
export function sendTls(asked: AskedTls): Promise<TlsAnswer> {
  const {
    port,
    ca,
    host,
    path = "/",
    method = "GET",
    headers = {},
    body,
    cert,
    key,
    session,
  } = asked;
  const { promise, resolve, reject } = Promise.withResolvers<TlsAnswer>();
  const outgoing = request(
    {
      ...{ host: "127.0.0.1", port, path, method, ca, agent: false },
      ...{ servername: asked.servername ?? host, headers: { host, ...headers } },
      // What a certificate is for is looked at where a test is about it.
      checkServerIdentity: () => undefined,
      ...(cert === undefined ? {} : { cert, key }),
      ...(session === undefined ? {} : { session }),
    },
    (answer) => {
      const isResumed = (answer.socket as TLSSocket).isSessionReused();
      readText(answer).then((text) => {
        const { statusCode: status = 0, headers: fields } = answer;
        resolve({ status, headers: fields, body: text, isReused: false, isResumed });
      }, reject);
    },
  );
  outgoing.once("error", reject);
  outgoing.end(body);
  return promise;
}

export interface Handshake {
  /** Names of the certificate, as OpenSSL writes them. */
  readonly names: string;
  readonly fingerprint: string;
  readonly protocol: string;
  readonly alpn: string;
  readonly isResumed: boolean;
}

/** Shakes hands and closes. Rejects with the socket's error. */
export function shakeHands(
  options: ConnectionOptions & { readonly port: number },
): Promise<Handshake> {
  const { promise, resolve, reject } = Promise.withResolvers<Handshake>();
  const socket = connect(
    { host: "127.0.0.1", checkServerIdentity: () => undefined, ...options },
    () => {
      const certificate = socket.getPeerX509Certificate();
      resolve({
        names: certificate?.subjectAltName ?? "",
        fingerprint: certificate?.fingerprint256 ?? "",
        protocol: socket.getProtocol() ?? "",
        alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : "",
        isResumed: socket.isSessionReused(),
      });
      socket.end();
    },
  );
  socket.once("error", reject);
  return promise;
}

/** Shakes hands, and closes once there is a session to resume. Rejects with the socket's error. */
export function ticketOf(options: ConnectionOptions & { readonly port: number }): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect({ host: "127.0.0.1", checkServerIdentity: () => undefined, ...options });
  socket.on("session", (session) => {
    resolve(session);
    socket.end();
  });
  socket.once("error", reject);
  // Sessions of TLS 1.3 come behind the handshake.
  socket.resume();
  return promise;
}
