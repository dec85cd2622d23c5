/**
 * How it stands with the certificates that gateways order by ACME: which hosts want one, what they have, and what an
 * operator should know. It orders nothing.
 */
import type { AcmeMaterials } from "../../acme-materials.ts";
import { parseOrderName } from "../../documents/index.ts";
import { kinds, type Tables } from "../../model/index.ts";
import type { HostCertificate } from "../certificates/book.ts";
import type { Clock } from "../clock.ts";
import type { Finding } from "../without-effect.ts";
import type { HostRecord } from "./host-record.ts";

/** What `/status` shows of one host. */
export interface AcmeHostStatus {
  readonly host: string;
  /**
   * `covered`: another certificate is served for it, so that none is ordered. `kept`: the key in KV has a certificate that
   * no gateway ordered.
   */
  readonly state: "due" | "ordering" | "issued" | "failed" | "covered" | "kept";
  /** Where its certificate is; `null`: there is none. */
  readonly certificate: string | null;
  /** ISO 8601. */
  readonly expires: string | null;
  /** When it is ordered, or replaced. */
  readonly next: string | null;
  /** In a row. */
  readonly failures: number;
  readonly error: string | null;
}

export interface AcmeStatus {
  readonly directory: string;
  readonly challenge: string;
  /** Why nothing can be ordered at all; `null`: nothing is wrong. */
  readonly problem: string | null;
  /** How this gateway's orders have ended since it started: `issued`, `failed` and `given_up`. */
  readonly orders: Readonly<Record<string, number>>;
  readonly hosts: readonly AcmeHostStatus[];
}

const dayMs = 86_400_000;

/** A host's record in Consul KV. */
export interface Found {
  readonly record: HostRecord | null;
  readonly modifyIndex: number;
}
export const nothing: Found = { record: null, modifyIndex: 0 };

export interface StandingOptions {
  readonly materials: AcmeMaterials;
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  readonly tables: () => Pick<Tables, "host">;
  /** What is served for hosts, whoever brought it. */
  readonly certificates: () => readonly HostCertificate[];
  /** Protocols of the listeners here. */
  readonly protocols: readonly string[];
  readonly clock: Clock;
}

/** What becomes of an order: `given_up` when the gateway stops or loses its lock, and another gateway may go on. */
export const outcomes = ["issued", "failed", "given_up"] as const;
export type Outcome = (typeof outcomes)[number];

export class Standing {
  /** By host, as they were last read. */
  records: ReadonlyMap<string, Found> = new Map();
  /** Hosts whose key in KV has somebody else's certificate. */
  readonly kept = new Set<string>();
  /** Why nothing can be ordered at all; `null`: nothing is wrong. */
  problem: string | null = null;
  readonly #options: StandingOptions;
  readonly #orders = new Map<Outcome, number>();

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  status(): AcmeStatus {
    const { directory, challenge } = this.#options.materials.settings;
    const hosts = [...this.wanted()].sort().map((host) => this.#statusOf(host));
    const orders = outcomes.map((outcome) => [outcome, this.#orders.get(outcome) ?? 0] as const);
    return {
      ...{ directory, challenge, problem: this.problem },
      ...{ orders: Object.fromEntries(orders), hosts },
    };
  }

  /** This gateway's order is over. */
  count(outcome: Outcome): void {
    this.#orders.set(outcome, (this.#orders.get(outcome) ?? 0) + 1);
  }

  warnings(): readonly Finding[] {
    const { prefix, protocols, materials, tables } = this.#options;
    const { challenge } = materials.settings;
    const findings: Finding[] = [];
    const needed = challenge === "http-01" ? "http" : "https";
    if (!protocols.includes(needed)) {
      const warning = `${challenge} has no effect here: the gateway has no listener for ${needed} that an authority could ask`;
      findings.push({ key: "--acme-challenge", warning });
    }
    for (const [key, { ordersCertificate }] of tables().host)
      if (ordersCertificate && parseOrderName(key) === null)
        findings.push({
          key: `${prefix}${kinds.host.folder}${key}`,
          warning: `certificate: the document is for the service ${key}, which is no host that an authority knows; name its hosts in --acme-hosts`,
        });
    if (this.problem !== null)
      findings.push({
        key: `${prefix}acme/`,
        warning: `no certificate is ordered: ${this.problem}`,
      });
    for (const host of this.wanted()) {
      const { state, error, next } = this.#statusOf(host);
      const key = this.recordKey(host);
      if (state === "failed")
        findings.push({ key, warning: `no certificate was issued: ${error}; next try at ${next}` });
      if (state === "kept")
        findings.push({
          key: this.certificateKey(host),
          warning: "no gateway ordered this certificate, so that none replaces it",
        });
    }
    return findings;
  }

  /** The hosts that want a certificate. */
  wanted(): ReadonlySet<string> {
    const { materials, tables } = this.#options;
    const hosts = new Set(materials.settings.hosts);
    for (const [key, { ordersCertificate }] of tables().host) {
      const host = ordersCertificate ? parseOrderName(key) : null;
      if (host !== null) hosts.add(host);
    }
    return hosts;
  }

  #statusOf(host: string): AcmeHostStatus {
    const { record } = this.records.get(host) ?? nothing;
    const other = this.coverOf(host);
    const own = this.ownOf(host);
    const served = other ?? own;
    const state = this.kept.has(host)
      ? "kept"
      : other !== null
        ? "covered"
        : (record?.state ?? "due");
    const hasNext = record !== null && state !== "covered" && state !== "kept";
    return {
      host,
      state,
      certificate: served?.place ?? null,
      expires: served === null ? null : dateOf(served.notAfter),
      next: hasNext ? dateOf(record.nextMs) : null,
      failures: record?.failures ?? 0,
      error: record?.error ?? null,
    };
  }

  /** A certificate for the host that an operator brought, and that lasts. */
  coverOf(host: string): HostCertificate | null {
    const wildcard = `*${host.slice(host.indexOf("."))}`;
    const lastsUntil = this.#options.clock.now() + dayMs;
    const isCover = ({ names, isFromAcme, notAfter }: HostCertificate) =>
      !isFromAcme && notAfter > lastsUntil && (names.includes(host) || names.includes(wildcard));
    return this.#options.certificates().find(isCover) ?? null;
  }

  /** The certificate that a gateway ordered for the host. */
  ownOf(host: string): HostCertificate | null {
    const place = this.certificateKey(host);
    return this.#options.certificates().find((one) => one.place === place) ?? null;
  }

  /** Where the host's record is. */
  recordKey(host: string): string {
    return `${this.#options.prefix}acme/hosts/${host}`;
  }

  /** Where its certificate is, or will be. */
  certificateKey(host: string): string {
    return `${this.#options.prefix}${kinds.certificate.folder}${certificateName(host)}`;
  }
}

/** Below `certificates/`. */
export function certificateName(host: string): string {
  return `acme-${host}`;
}

export function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
