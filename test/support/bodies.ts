/** Bodies to send through a gateway, and how to compare large ones. */
import { createHash } from "node:crypto";

export const MEGABYTE = 1024 * 1024;

/** The SHA-256 of the bytes, in hexadecimal. */
export function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that look like HTTP, so that a reader that loses its place is found out. */
export function lookalike(length: number): Buffer {
  const text = "0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n5\r\n";
  return Buffer.from(text.repeat(Math.ceil(length / text.length))).subarray(0, length);
}
