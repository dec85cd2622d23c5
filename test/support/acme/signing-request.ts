/** The public key and the names in a request for a certificate (PKCS #10, RFC 2986). */
import { createPublicKey, type KeyObject } from "node:crypto";
import { crypto } from "acme-client";

export function readRequest(der: Buffer): {
  readonly names: readonly string[];
  readonly publicKey: KeyObject;
} {
  // CertificationRequest { info { version, subject, subjectPKInfo, ... }, ... }
  const info = partAt(der, partAt(der, 0).from);
  const version = partAt(der, info.from);
  const subject = partAt(der, version.until);
  const key = partAt(der, subject.until);
  const publicKey = createPublicKey({
    ...{ key: der.subarray(subject.until, key.until), format: "der", type: "spki" },
  });
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join("\n")}\n-----END CERTIFICATE REQUEST-----\n`;
  const { commonName, altNames } = crypto.readCsrDomains(pem);
  return { names: [...new Set([commonName, ...altNames].filter(Boolean))], publicKey };
}

/** The contents of the element that begins at an offset. */
function partAt(der: Buffer, at: number): { readonly from: number; readonly until: number } {
  const first = der[at + 1] ?? 0;
  const size = first < 128 ? 0 : first & 127;
  const length = size === 0 ? first : der.readUIntBE(at + 2, size);
  const from = at + 2 + size;
  return { from, until: from + length };
}
