/** What is known of a client's connection once its handshake is done. */
import type { TLSSocket } from "node:tls";
import type { ClientCertificate, ClientTls, TlsChoice } from "../tls.ts";

/** A name of more than this is cut: it goes into a header. */
const maxSubject = 1_024;

export function clientTls(
  socket: TLSSocket,
  serverName: string | null,
  { endpoint, clientRule, covers }: TlsChoice,
): ClientTls {
  return {
    serverName,
    certificate: endpoint.asksForCertificate && socket.authorized ? certificateOf(socket) : null,
    clientRule,
    covers,
    // Each is a walk through OpenSSL, which few ask for.
    get version() {
      return socket.getProtocol() ?? "";
    },
    get cipher() {
      return socket.getCipher().name;
    },
    get isResumed() {
      return socket.isSessionReused();
    },
  };
}

function certificateOf(socket: TLSSocket): ClientCertificate | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  return {
    subject: subjectLine(certificate.subject),
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/**
 * `subject` has a line for each attribute, in the order of the certificate, its values escaped. RFC 4514 writes them the other
 * way round, with commas. What is not printable ASCII is escaped too, so that it can stand in a header.
 */
export function subjectLine(subject: string): string {
  const line = subject.split("\n").reverse().join(",");
  const escaped = line.replace(/[^ -~]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `\\${byte.toString(16).padStart(2, "0")}`).join(
      "",
    ),
  );
  return escaped.slice(0, maxSubject);
}
