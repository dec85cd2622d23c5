/** The settings that say where the gateway listens: a list in the file, and a flag for each usual case. */
import * as z from "zod";
import { checkDocument, DocumentError, parseJson } from "./documents/index.ts";
import { type TlsProfile, tlsProfiles } from "./engine/tls.ts";
import {
  defaultDatagramTerms,
  defaultStreamTerms,
  type Exposure,
  entryName,
  exposures,
  type ListenerTerms,
  noListenerLimits,
  type StreamTerms,
} from "./model/index.ts";
import type { Definition } from "./settings-table.ts";
import {
  type Address,
  address,
  duration,
  integer,
  networks,
  oneOf,
  paths,
  portRanges,
  tcpRoutes,
  text,
} from "./settings-values.ts";

interface WrittenListener extends ListenerSettings {
  /** What the list says of TLS; the rest is as the flags say. */
  readonly writtenTls?: {
    readonly profile?: TlsProfile | undefined;
    readonly defaultCertificate?: string | undefined;
  };
}

export interface ListenerSettings extends ListenerTerms {
  /** What an operator gave it by: a flag, a variable, a field of the file, or an entry of the list. */
  readonly flag: string;
  readonly address: Address;
}

/** Holds the key for sealed private keys; a flag would show in the list of processes. */
export const sealingKeyVariable = "SLUICE_CERTIFICATE_KEY";

/** Where certificates are, beside KV. */
export interface CertificateSettings {
  readonly paths: readonly string[];
  readonly sealingKey: { readonly file: string | null; readonly text: string | null };
}

const maxListeners = 64;
const nameForm = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

const place = {
  name: z.string().regex(nameForm, "is not a name: letters, digits, - and _").optional(),
  address: address(),
};
const limits = {
  maxConnections: integer(0, 1_000_000).default(0),
  maxConnectionsPerAddress: integer(0, 1_000_000).default(0),
};
const common = {
  ...place,
  proxyProtocol: networks().default([]),
  limits: z
    .strictObject(limits)
    .default(noListenerLimits)
    .transform((given) => ({ ...noListenerLimits, ...given })),
};
/** Of listeners that carry bytes. */
const streams = {
  limits: z
    .strictObject({ ...limits, maxConnectionsPerUpstream: integer(0, 1_000_000).default(0) })
    .default(noListenerLimits),
  idleTimeout: duration().default(defaultStreamTerms.idleTimeoutMs),
};
const connections = {
  ...common,
  ...streams,
  maxDuration: duration(0).default(defaultStreamTerms.maxDurationMs),
  sendProxyProtocol: z.enum(["v1", "v2"]).optional(),
};
/** A datagram has no connection that a PROXY header could begin. */
const datagrams = {
  ...place,
  ...streams,
  idleTimeout: duration().default(defaultDatagramTerms.idleTimeoutMs),
  maxAmplification: integer(0, 1_000_000).default(defaultDatagramTerms.maxAmplification),
};
const exposes = { expose: z.enum(exposures).default("tagged") };
/** The name of an upstream or a service. */
const upstream = { upstream: z.string().regex(entryName) };

const written = z.array(
  z.discriminatedUnion("protocol", [
    z.strictObject({ ...common, ...exposes, protocol: z.literal("http") }),
    z.strictObject({
      ...common,
      ...exposes,
      protocol: z.literal("https"),
      tls: z
        .strictObject({
          profile: z.enum(tlsProfiles).optional(),
          defaultCertificate: z.string().regex(entryName).optional(),
        })
        .default({}),
    }),
    z.strictObject({ ...connections, ...exposes, protocol: z.literal("tls-passthrough") }),
    z.strictObject({ ...connections, ...upstream, protocol: z.literal("tcp") }),
    z.strictObject({ ...datagrams, ...upstream, protocol: z.literal("udp") }),
  ]),
);
type Written = z.output<typeof written>[number];

export const listenerDefinitions = {
  http: {
    argument: "ADDRESS:PORT",
    meaning: "Where requests are accepted; without a default where listeners are given.",
    fallback: null,
    fallbackText: "0.0.0.0:8080",
    schema: address(),
  },
  https: {
    argument: "ADDRESS:PORT",
    meaning: "Where requests are accepted over TLS.",
    fallback: null,
    schema: address(),
  },
  expose: {
    argument: "WHAT",
    meaning:
      "What --http and --https expose: documents (hosts with a document or a script that answers), tagged (also services with the tag sluice, sluice.enable=true, traefik.enable=true or urlprefix-...) or all (also every service by its name).",
    fallback: "tagged",
    schema: oneOf(...exposures),
  },
  internal: {
    argument: "ADDRESS:PORT",
    meaning:
      "A further address where requests are accepted, which exposes every service by its name: for clients inside.",
    fallback: null,
    schema: address(),
  },
  certificates: {
    argument: "LIST",
    meaning:
      "Files and directories with certificates, read again when they change: NAME.crt (or .pem) with NAME.key or the key in it, NAME/fullchain.pem with NAME/privkey.pem, NAME.ca.pem for authorities. More are in KV.",
    fallback: "",
    schema: paths(),
  },
  defaultCertificate: {
    argument: "NAME",
    meaning:
      "The certificate for clients that ask for no name, or for one that no certificate is for. Without it their handshake ends with unrecognized_name.",
    fallback: null,
    schema: text(),
  },
  tlsProfile: {
    argument: "NAME",
    meaning:
      "Mozilla's profile for TLS to clients: intermediate (TLS 1.2 and 1.3) or modern (TLS 1.3).",
    fallback: "intermediate",
    schema: oneOf(...tlsProfiles),
  },
  certificateKeyFile: {
    argument: "FILE",
    meaning:
      "Holds the 32 bytes in base64 that open sealed private keys in KV; or SLUICE_CERTIFICATE_KEY has them. Gateways with the same also resume each other's TLS sessions.",
    fallback: null,
    schema: text(),
  },
  tcp: {
    argument: "LIST",
    meaning:
      "Ports whose TCP connections go to an upstream or a service: 5432=postgres, or 127.0.0.1:6379=redis.",
    fallback: "",
    schema: tcpRoutes(),
  },
  kvListenerPorts: {
    argument: "LIST",
    meaning:
      "Ports that listeners in Consul KV (listeners/NAME) may open: 5432, or 6000-6999. Without any, none is opened.",
    fallback: "",
    schema: portRanges(),
  },
  listeners: {
    argument: "JSON",
    meaning:
      "A list of listeners: address, protocol (http, https, tcp, tls-passthrough or udp), name, expose or upstream, proxyProtocol, limits, and of those that carry bytes idleTimeout, maxDuration, sendProxyProtocol and (udp) maxAmplification; beside those of the flags.",
    fallback: null,
    schema: listenerList(),
  },
} as const satisfies Readonly<Record<string, Definition>>;

/** A list in the file, its JSON in a flag or a variable. */
function listenerList(): z.ZodType<readonly WrittenListener[]> {
  return z.unknown().transform((raw, context) => {
    try {
      const value = typeof raw === "string" ? parseJson("", raw) : raw;
      const list = checkDocument("", withProtocols(value), written);
      if (list.length > maxListeners)
        throw new DocumentError("bad_document", "", `has more than ${maxListeners} listeners`);
      return list.map(listenerOf);
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      context.addIssue({ code: "custom", message: error.problem });
      return z.NEVER;
    }
  });
}

/** One that names no protocol speaks HTTP. */
function withProtocols(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((one: unknown) =>
    typeof one === "object" && one !== null ? { protocol: "http", ...one } : one,
  );
}

function listenerOf(one: Written, at: number): WrittenListener {
  const { protocol, limits } = one;
  return {
    flag: `listeners[${at}]`,
    name: one.name ?? `listener-${at}`,
    address: one.address,
    protocol,
    exposes: "expose" in one ? one.expose : "documents",
    upstream: "upstream" in one ? one.upstream : null,
    tls: null,
    ...(one.protocol === "https" ? { writtenTls: one.tls } : {}),
    proxyProtocol: "proxyProtocol" in one ? one.proxyProtocol : [],
    limits,
    stream: "idleTimeout" in one ? streamTermsOf(one) : defaultStreamTerms,
  };
}

function streamTermsOf(one: Extract<Written, { readonly idleTimeout: number }>): StreamTerms {
  return {
    idleTimeoutMs: one.idleTimeout,
    maxDurationMs: "maxDuration" in one ? one.maxDuration : 0,
    sendProxyProtocol: "sendProxyProtocol" in one ? (one.sendProxyProtocol ?? null) : null,
    maxAmplification: "maxAmplification" in one ? one.maxAmplification : 0,
  };
}

/** What the flags say. */
interface Shorthands {
  readonly http: Address | null;
  readonly https: Address | null;
  readonly expose: Exposure;
  readonly internal: Address | null;
  readonly tcp: readonly { readonly address: Address; readonly upstream: string }[];
  readonly listeners: readonly WrittenListener[] | null;
  readonly tlsProfile: TlsProfile;
  readonly defaultCertificate: string | null;
  /** The flag, the variable or the field of the file that gave each. */
  readonly givenBy: Readonly<Record<"http" | "https" | "internal" | "tcp", string>>;
}

const usual: Address = { host: "0.0.0.0", port: 8080 };

/**
 * All listeners, those of the flags first. When neither `--http` nor a list is given there is the usual one.
 */
export function listenersFrom(given: Shorthands): readonly ListenerSettings[] {
  const { https, expose, internal, tcp, listeners, givenBy } = given;
  const http = given.http ?? (listeners === null ? usual : null);
  const found: WrittenListener[] = [];
  const add = (
    key: keyof typeof givenBy,
    where: Address | null,
    terms: Partial<ListenerSettings>,
  ) => {
    if (where !== null)
      found.push({ ...plain, name: key, flag: givenBy[key], address: where, ...terms });
  };
  add("http", http, { exposes: expose });
  add("https", https, { protocol: "https", exposes: expose });
  add("internal", internal, { exposes: "all" });
  for (const { address: where, upstream: name } of tcp) {
    add("tcp", where, { name: `tcp-${where.port}`, protocol: "tcp", upstream: name });
  }
  const { tlsProfile: profile, defaultCertificate } = given;
  return [...found, ...(listeners ?? [])].map(({ writtenTls, ...one }) => ({
    ...one,
    tls:
      one.protocol === "https"
        ? {
            profile: writtenTls?.profile ?? profile,
            defaultCertificate: writtenTls?.defaultCertificate ?? defaultCertificate,
          }
        : null,
  }));
}

const plain = {
  protocol: "http",
  exposes: "documents",
  upstream: null,
  tls: null,
  proxyProtocol: [],
  limits: noListenerLimits,
  stream: defaultStreamTerms,
} as const satisfies Partial<ListenerTerms>;

/** The name that two of them have; `null`: each has its own. */
export function sharedName(listeners: readonly ListenerTerms[]): string | null {
  const names = new Set<string>();
  for (const { name } of listeners) {
    if (names.has(name)) return name;
    names.add(name);
  }
  return null;
}
