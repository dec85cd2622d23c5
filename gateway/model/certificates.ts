/** Certificates as data: what operators wrote, checked or not, and what workers get. */
import type { PeerMaterials } from "../engine/upstream/peer-tls.ts";

/** A certificate with its chain and its key, or authorities alone. Texts are PEM. */
export interface Certificate {
  /** The certificate first, then its issuers in order; for authorities, all of them. */
  readonly chain: string;
  /** `null` when these are authorities. */
  readonly key: string | null;
  /** The sealed key, as it is in KV, until the primary has opened it. */
  readonly sealedKey: string | null;
  /** A gateway ordered it by ACME. Left out: an operator put it there. */
  readonly isFromAcme?: true;
  /** Filled in once the certificate was checked; workers get no others. */
  readonly facts: CertificateFacts | null;
}

export interface CertificateFacts {
  /** Names of hosts, in lower case, also `*.domain`. */
  readonly names: readonly string[];
  readonly keyType: "rsa" | "ec" | "other";
  /** SHA-256 of the certificate, hexadecimal. */
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuer: string;
}

/** Session ticket keys, 48 bytes each in base64. The first one seals new tickets. */
export type TicketKeyList = readonly string[];

/**
 * The certificate that documents and settings mean by this name. `table`: by `kv/<name>` and `file/<name>`. A file outranks KV,
 * because whoever can write the gateway's files can do everything else too.
 */
export function namedCertificate(
  table: ReadonlyMap<string, Certificate>,
  name: string,
): Certificate | null {
  return table.get(`file/${name}`) ?? table.get(`kv/${name}`) ?? null;
}

/** What upstreams name in their `tls`. `table`: gives the current certificates. */
export function namedMaterials(table: () => ReadonlyMap<string, Certificate>): PeerMaterials {
  return {
    authorities: (name) => namedCertificate(table(), name)?.chain ?? null,
    pair: (name) => {
      const found = namedCertificate(table(), name);
      return found === null || found.key === null ? null : { chain: found.chain, key: found.key };
    },
  };
}
