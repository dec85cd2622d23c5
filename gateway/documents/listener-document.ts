/** A listener document, `listeners/<name>`: a port that every gateway of the cluster opens, and where it leads. */
import { isIP, SocketAddress } from "node:net";
import * as z from "zod";
import { isAddressBlock } from "../engine/message/address-blocks.ts";
import { plainAddress } from "../engine/message/forwarding.ts";
import {
  defaultDatagramTerms,
  defaultStreamTerms,
  exposures,
  type ListenerDocument,
  noListenerLimits,
} from "../model/index.ts";
import { checkDocument, parseJson } from "./document.ts";
import { isUpstreamName } from "./entry-name.ts";

const place = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]*)):([0-9]{1,5})$/;

interface Place {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads an address. Names are refused, because all machines read the document and a name may mean another address on
 * each.
 */
function readPlace(text: string): Place | null {
  const [, six, four, digits] = place.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < 1 || port > 65_535) return null;
  // One address has many spellings, and two keys with the same one must be noticed.
  if (six !== undefined) return isIP(six) === 6 ? { host: plainAddress(sixOf(six)), port } : null;
  if (four === "" || four === undefined) return { host: "0.0.0.0", port };
  return isIP(four) === 4 ? { host: four, port } : null;
}

/** An IPv6 address as RFC 5952 writes it. */
function sixOf(text: string): string {
  return new SocketAddress({ address: text, family: "ipv6" }).address;
}

const seconds = z.number().min(0.001).max(86_400);
const count = z.int().min(0).max(1_000_000).default(0);

const common = {
  address: z
    .string()
    .refine((text) => readPlace(text) !== null, {
      error: (issue) => `${JSON.stringify(issue.input)} is not :PORT or IP:PORT`,
    })
    .describe("Where each gateway listens: :5432 for every address, or an IP address and a port."),
  limits: z
    .strictObject({
      max_connections: count,
      max_connections_per_address: count,
      max_connections_per_upstream: count,
    })
    .prefault({})
    .describe("Connections at once in each worker; 0, the default: no limit."),
  idle_timeout: seconds
    .optional()
    .describe("Seconds without a byte after which it ends. Default 600; for udp 60."),
};
const connections = {
  ...common,
  max_duration: z.number().min(0).max(86_400).default(0).describe("Seconds; 0, the default: none."),
  send_proxy_protocol: z
    .enum(["v1", "v2"])
    .optional()
    .describe("The version of the PROXY protocol that tells peers whose connection it is."),
  proxy_protocol: z
    .array(z.string().refine(isAddressBlock, { error: "is neither an address nor a block" }))
    .default([])
    .describe("Senders whose connections begin with the PROXY protocol: addresses or blocks."),
};
const datagrams = {
  ...common,
  max_amplification: count.describe(
    "Answers to a client have at most so many times the bytes that it sent; 0, the default: no limit.",
  ),
};
const upstream = z
  .string()
  .refine(isUpstreamName, { error: "is not the name of an upstream or a service" })
  .describe("An upstream document or a service.");

/** The JSON of a listener document; the published JSON Schema is made from it. */
export const listenerSchema = z
  .discriminatedUnion("protocol", [
    z.strictObject({ ...connections, protocol: z.literal("tcp"), upstream }),
    z.strictObject({ ...datagrams, protocol: z.literal("udp"), upstream }),
    z.strictObject({
      ...connections,
      protocol: z.literal("tls-passthrough"),
      expose: z
        .enum(exposures)
        .default("tagged")
        .describe("Which services are reached by the name that a client asks for."),
    }),
  ])
  .describe("A port that every gateway opens, if its settings allow that port.");

/** Reads the text of `listeners/<name>`; `key` is the whole key. Throws a `DocumentError`. */
export function parseListenerDocument(key: string, text: string): ListenerDocument {
  const document = checkDocument(key, parseJson(key, text), listenerSchema);
  const { protocol, limits } = document;
  const usual = protocol === "udp" ? defaultDatagramTerms : defaultStreamTerms;
  const isTcp = document.protocol !== "udp";
  const maxAmplification = document.protocol === "udp" ? document.max_amplification : 0;
  return {
    // The schema has checked it.
    address: readPlace(document.address) ?? { host: "0.0.0.0", port: 0 },
    protocol,
    exposes: document.protocol === "tls-passthrough" ? document.expose : "documents",
    upstream: document.protocol === "tls-passthrough" ? null : document.upstream,
    proxyProtocol: isTcp ? document.proxy_protocol : [],
    limits: {
      ...noListenerLimits,
      maxConnections: limits.max_connections,
      maxConnectionsPerAddress: limits.max_connections_per_address,
      maxConnectionsPerUpstream: limits.max_connections_per_upstream,
    },
    stream: {
      idleTimeoutMs:
        document.idle_timeout === undefined ? usual.idleTimeoutMs : document.idle_timeout * 1_000,
      maxDurationMs: isTcp ? document.max_duration * 1_000 : 0,
      sendProxyProtocol: isTcp ? (document.send_proxy_protocol ?? null) : null,
      maxAmplification,
    },
  };
}
