/**
 * WebSocket's handshake (RFC 6455 section 4.1). Clients of HTTP/1.1 make it themselves; for those of HTTP/2, which has
 * none (RFC 8441 section 5), the gateway makes it with the peer.
 */
import { createHash, randomBytes } from "node:crypto";

/** What a server adds to the key before it hashes it. */
const suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const keyBytes = 16;

/** A value for `Sec-WebSocket-Key`. */
export function newKey(): string {
  return randomBytes(keyBytes).toString("base64");
}

/** Whether this `Sec-WebSocket-Accept` is the answer to that key: whoever gives it speaks WebSocket. */
export function isAccepted(key: string | undefined, accept: string | undefined): boolean {
  if (key === undefined) return false;
  return createHash("sha1").update(`${key}${suffix}`, "latin1").digest("base64") === accept;
}
