/** Certificates as data: what operators wrote, checked or not, and what workers get. */

/** A certificate with its chain and its key, or authorities alone. Texts are PEM. */
export interface Certificate {
  /** The certificate first, then its issuers in order; for authorities, all of them. */
  readonly chain: string;
  /** `null` when these are authorities. */
  readonly key: string | null;
  /** The sealed key, as it is in KV, until the primary has opened it. */
  readonly sealedKey: string | null;
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
