/**
 * Opens session tickets, which OpenSSL seals with Node's ticket keys (RFC 5077 section 4), to see whose certificate the
 * session has. OpenSSL verifies that certificate once, and resumes the session whatever has happened to it since.
 */
import { createDecipheriv, createHmac, timingSafeEqual, X509Certificate } from "node:crypto";

/** A ticket begins with the name of the key that sealed it. */
const nameBytes = 16;
const vectorBytes = 16;
const macBytes = 32;

const sequence = 0x30;
/** `peer` in OpenSSL's encoding of a session. */
const peerCertificate = 0xa3;

/** What a session remembers of its client. */
export interface TicketSession {
  /** `null`: the client showed none. */
  readonly certificate: X509Certificate | null;
}

/** A key for tickets, of 48 bytes: its name, what authenticates, what encrypts. */
export class TicketKey {
  /** In base64. */
  readonly text: string;
  readonly bytes: Buffer;

  constructor(text: string) {
    this.text = text;
    this.bytes = Buffer.from(text, "base64");
  }

  /** Whether the ticket says that this key sealed it. */
  isNamedBy(ticket: Buffer): boolean {
    return this.bytes.compare(ticket, 0, nameBytes, 0, nameBytes) === 0;
  }

  /** Returns `null` when the ticket is another key's, or not whole. */
  open(ticket: Buffer): TicketSession | null {
    const macAt = ticket.length - macBytes;
    const sealedAt = nameBytes + vectorBytes;
    if (macAt <= sealedAt || !this.isNamedBy(ticket)) return null;
    const mac = createHmac("sha256", this.bytes.subarray(16, 32))
      .update(ticket.subarray(0, macAt))
      .digest();
    if (!timingSafeEqual(mac, ticket.subarray(macAt))) return null;
    const vector = ticket.subarray(nameBytes, sealedAt);
    try {
      const cipher = createDecipheriv("aes-128-cbc", this.bytes.subarray(32, 48), vector);
      const first = cipher.update(ticket.subarray(sealedAt, macAt));
      return readSession(Buffer.concat([first, cipher.final()]));
    } catch {
      // The padding is wrong, or the certificate cannot be read.
      return null;
    }
  }
}

function readSession(bytes: Buffer): TicketSession | null {
  const session = readElement(bytes, 0);
  if (session === null || session.tag !== sequence) return null;
  for (let at = 0; at < session.content.length; ) {
    const field = readElement(session.content, at);
    if (field === null) return null;
    if (field.tag === peerCertificate) return { certificate: new X509Certificate(field.content) };
    at = field.end;
  }
  return { certificate: null };
}

/** The DER element at `at`; `null` when it is not whole, or longer than any in a ticket. */
function readElement(
  bytes: Buffer,
  at: number,
): { readonly tag: number; readonly content: Buffer; readonly end: number } | null {
  const [tag, short] = bytes.subarray(at, at + 2);
  if (tag === undefined || short === undefined) return null;
  const more = short < 0x80 ? 0 : short - 0x80;
  const from = at + 2 + more;
  if (more > 2 || (short >= 0x80 && more === 0) || from > bytes.length) return null;
  const end = from + (more === 0 ? short : bytes.readUIntBE(at + 2, more));
  return end > bytes.length ? null : { tag, content: bytes.subarray(from, end), end };
}
