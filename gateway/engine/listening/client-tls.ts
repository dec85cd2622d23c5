/** What is known of a client's connection once its handshake is done. */
import type { TLSSocket } from "node:tls";
import type { ClientCertificate, ClientTls, TlsChoice } from "../tls.ts";

/** A longer subject is cut, because it goes into a header. */
const maxSubject = 1_024;

export function clientTls(
  socket: TLSSocket,
  serverName: string | null,
  choice: TlsChoice,
): ClientTls {
  const { endpoint } = choice;
  const certificate =
    endpoint.asksForCertificate && socket.authorized ? certificateOf(socket) : null;
  return new SocketTls(socket, serverName, certificate, choice);
}

/** A class, because an object literal with a getter takes V8 several microseconds to make. */
class SocketTls implements ClientTls {
  readonly serverName: string | null;
  readonly certificate: ClientCertificate | null;
  readonly clientRule: string;
  readonly covers: (host: string) => boolean;
  readonly #socket: TLSSocket;

  constructor(
    socket: TLSSocket,
    serverName: string | null,
    certificate: ClientCertificate | null,
    { clientRule, covers }: TlsChoice,
  ) {
    this.#socket = socket;
    this.serverName = serverName;
    this.certificate = certificate;
    this.clientRule = clientRule;
    this.covers = covers;
  }

  /** Asked of OpenSSL each time, since few requests want to know. */
  get version(): string {
    return this.#socket.getProtocol() ?? "";
  }
}

function certificateOf(socket: TLSSocket): ClientCertificate | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  // Node's types leave out that a name without attributes is `undefined`, as with certificates that have their name
  // among the alternatives only.
  const subject: string | undefined = certificate.subject;
  return {
    subject: subjectLine(subject ?? ""),
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/**
 * `subject` has a line for each attribute, in the certificate's order, with escaped values. RFC 4514 wants the
 * reverse order, and commas. What is not printable ASCII is escaped too, so that the line can stand in a header.
 */
function subjectLine(subject: string): string {
  const line = subject.split("\n").reverse().join(",");
  const escaped = line.replace(/[^ -~]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `\\${byte.toString(16).padStart(2, "0")}`).join(
      "",
    ),
  );
  return escaped.slice(0, maxSubject);
}
