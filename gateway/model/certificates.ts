/** Certificates as data: what somebody wrote, checked or not, and what workers are given. */

/** A certificate with its chain and its key, or authorities alone. Text is PEM. */
export interface Certificate {
  /** The certificate first, then whoever signed it; of authorities, all of them. */
  readonly chain: string;
  /** `null`: these are authorities. */
  readonly key: string | null;
  /** In its place, as it is in KV, until the primary has opened it. */
  readonly sealedKey: string | null;
  /** Filled in when it was checked: a worker gets no other. */
  readonly facts: CertificateFacts | null;
}

export interface CertificateFacts {
  /** Of hosts, in lower case, also `*.domain`. */
  readonly names: readonly string[];
  readonly keyType: "rsa" | "ec" | "other";
  /** SHA-256 of the certificate, hexadecimal. */
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuer: string;
}

/** Keys of session tickets, 48 bytes each in base64, the one that seals new ones first. */
export type TicketKeyList = readonly string[];
