/** Compresses answers that come from peers, for clients that take it. Streaming answers keep flowing. */
import type { Exchange } from "../../gateway/engine/engine.ts";
import type { Plugin } from "../plugin.ts";
import { chooseCoding } from "./accept-encoding.ts";
import { Compressor } from "./compressor.ts";
import type { CompressOptions } from "./schema.ts";

/** The longest media type that is read. */
const maxTypeLength = 128;

export const compress: Plugin<CompressOptions> = {
  name: "compress",
  summary: "Compresses answers with zstd, Brotli or gzip.",
  create: ({ types, min_bytes: minBytes, codings }, { slots }) => {
    const isWanted = matcher(types);
    return {
      onResponse: (exchange) => {
        if (!isCompressible(exchange) || !isWanted(exchange.responseHeader("content-type"))) return;
        const length = exchange.responseHeader("content-length");
        if (length !== undefined && Number(length) < minBytes) return;
        // Caches have to know that other clients get another answer, whatever this client gets.
        addVary(exchange);
        const coding = chooseCoding(exchange.header("accept-encoding"), codings);
        // A compressor may be kept for as long as its client reads: without a slot the answer goes out as it is.
        if (coding === null || !slots.areLeft) return;
        exchange.setResponseHeader("Content-Encoding", coding);
        exchange.removeResponseHeader("Accept-Ranges");
        weakenTag(exchange);
        exchange.tapAnswer(new Compressor(coding, length === undefined, slots));
      },
    };
  },
};

/** Whether the answer is a whole representation that nobody encoded yet (RFC 9110 section 8.4, RFC 9111 section 5.2.2.6). */
function isCompressible(exchange: Exchange<unknown>): boolean {
  const { status } = exchange;
  // A phase in between may have changed the answer's Content-Encoding.
  if (exchange.isAnswerTapped) return false;
  // After 101 comes another protocol (section 15.2.2).
  if (status === 101 || status === 204 || status === 205 || status === 206 || status === 304)
    return false;
  if (exchange.responseHeader("content-encoding") !== undefined) return false;
  if (exchange.responseHeader("content-range") !== undefined) return false;
  const control = exchange.responseHeader("cache-control");
  return control === undefined || !control.toLowerCase().includes("no-transform");
}

function matcher(types: readonly string[]): (contentType: string | undefined) => boolean {
  const whole = new Set(types.filter((type) => !type.endsWith("/*")));
  const families = new Set(
    types.filter((type) => type.endsWith("/*")).map((type) => type.slice(0, -1)),
  );
  return (contentType) => {
    if (contentType === undefined) return false;
    const end = contentType.indexOf(";");
    const type = contentType
      .slice(0, Math.min(maxTypeLength, end === -1 ? contentType.length : end))
      .trim()
      .toLowerCase();
    return whole.has(type) || families.has(type.slice(0, type.indexOf("/") + 1));
  };
}

function addVary(exchange: Exchange<unknown>): void {
  const vary = exchange.responseHeader("vary")?.toLowerCase() ?? "";
  if (vary.includes("accept-encoding") || vary.trim() === "*") return;
  exchange.addResponseHeader("Vary", "Accept-Encoding");
}

/** The bytes have changed (RFC 9110 section 8.8.1). */
function weakenTag(exchange: Exchange<unknown>): void {
  const tag = exchange.responseHeader("etag");
  if (tag?.startsWith('"')) exchange.setResponseHeader("ETag", `W/${tag}`);
}
