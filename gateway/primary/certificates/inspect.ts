/** Whether a certificate can be used, and what it is for. No message has any part of a key in it. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import { normaliseHost } from "../../engine/message/authority.ts";
import type { Certificate, CertificateFacts } from "../../model/index.ts";
import { unseal } from "../../sealing.ts";

/** The certificate, or why it cannot be used; with `from`, the time from which it can. */
export type Inspection =
  | { readonly certificate: Certificate }
  | { readonly problem: string; readonly from?: number };

const beginning = "-----BEGIN CERTIFICATE-----";
const ending = "-----END CERTIFICATE-----";
const maxChain = 20;
const maxNames = 1_000;
/** A worker signs in each handshake. Twice the bits take it about seven times as long: half a second with 16,384. */
const maxRsaBits = 8_192;

/** `name`: what it was sealed for. `sealingKey`: `null` when this gateway has none. */
export function inspect(
  written: Certificate,
  name: string,
  sealingKey: Buffer | null,
  nowMs: number,
): Inspection {
  const chain = readChain(written.chain);
  if (typeof chain === "string") return { problem: chain };
  const [first] = chain;
  if (first === undefined) return { problem: "there is no certificate in it" };
  const facts = factsOf(first);
  if (typeof facts === "string") return { problem: facts };
  if (written.key === null && written.sealedKey === null)
    return { certificate: { ...written, facts } };
  if ((first.publicKey.asymmetricKeyDetails?.modulusLength ?? 0) > maxRsaBits)
    return {
      problem: `its RSA key has more than ${maxRsaBits} bits: handshakes would take too long`,
    };
  const key = keyOf(written, name, sealingKey);
  if ("problem" in key) return key;
  const problem = keyProblem(key.text, written.chain, first);
  if (problem !== null) return { problem };
  if (facts.names.length === 0) return { problem: "the certificate names no host" };
  if (facts.notAfter <= nowMs)
    return { problem: `the certificate expired on ${dateText(facts.notAfter)}` };
  if (facts.notBefore > nowMs)
    return {
      problem: `the certificate is not valid before ${dateText(facts.notBefore)}`,
      from: facts.notBefore,
    };
  return { certificate: { chain: written.chain, key: key.text, sealedKey: null, facts } };
}

function readChain(pem: string): readonly X509Certificate[] | string {
  const blocks = blocksOf(pem);
  if (blocks.length === 0) return "there is no certificate in it";
  if (blocks.length > maxChain) return `it has more than ${maxChain} certificates`;
  try {
    return blocks.map((text) => new X509Certificate(text));
  } catch {
    return "a certificate in it cannot be read";
  }
}

/** No more than one above `maxChain`. */
function blocksOf(pem: string): readonly string[] {
  const blocks: string[] = [];
  let at = pem.indexOf(beginning);
  while (at !== -1 && blocks.length <= maxChain) {
    const end = pem.indexOf(ending, at);
    if (end === -1) break;
    blocks.push(pem.slice(at, end + ending.length));
    at = pem.indexOf(beginning, end);
  }
  return blocks;
}

function keyOf(
  { key, sealedKey }: Certificate,
  name: string,
  sealingKey: Buffer | null,
): { readonly text: string } | { readonly problem: string } {
  if (key !== null) return { text: key };
  if (sealingKey === null)
    return {
      problem: "the key is sealed, and this gateway has no --certificate-key-file to open it",
    };
  const text = unseal(sealingKey, name, sealedKey ?? "");
  if (text !== null) return { text };
  return { problem: "the sealed key cannot be opened: another key sealed it, or for another name" };
}

function keyProblem(text: string, chain: string, first: X509Certificate): string | null {
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    return "the private key cannot be read: it must be PEM without a passphrase";
  }
  if (!first.checkPrivateKey(key)) return "the private key is not the certificate's";
  try {
    createSecureContext({ cert: chain, key: text });
  } catch (error) {
    // OpenSSL's reasons are about the certificate, and short: `ee key too small`.
    const reason = error instanceof Error && "reason" in error ? String(error.reason) : "unknown";
    return `OpenSSL does not take it: ${reason}`;
  }
  return null;
}

/** Returns a problem when the certificate has parts that OpenSSL decodes only when it is asked for them. */
function factsOf(certificate: X509Certificate): CertificateFacts | string {
  // Node's `validFromDate` is any date at all when the text in the certificate is no date.
  const notBefore = Date.parse(certificate.validFrom);
  const notAfter = Date.parse(certificate.validTo);
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter))
    return "the certificate's dates cannot be read";
  const publicKey = publicKeyOf(certificate);
  if (publicKey === null) return "the certificate's public key cannot be read";
  const type = publicKey.asymmetricKeyType;
  // Node's types leave out that a name without attributes is `undefined`.
  const issuer: string | undefined = certificate.issuer;
  return {
    names: namesOf(certificate),
    keyType: type === "ec" ? "ec" : type === "rsa" ? "rsa" : "other",
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    notBefore,
    notAfter,
    issuer: issuer?.split("\n").at(-1) ?? "",
  };
}

function publicKeyOf(certificate: X509Certificate): KeyObject | null {
  try {
    return certificate.publicKey;
  } catch {
    return null;
  }
}

/**
 * The hosts among the alternative names, addresses in the spelling that they have as the host of a request. The common
 * name alone no longer counts (RFC 9525 section 2).
 */
function namesOf({ subjectAltName }: X509Certificate): readonly string[] {
  const names = new Set<string>();
  for (const [, name, address = ""] of (subjectAltName ?? "").matchAll(
    /(?:^|, )(?:DNS:((?:\*\.)?[A-Za-z0-9_.-]{1,253})|IP Address:([0-9A-Fa-f:.]{2,45}))(?=$|, )/g,
  )) {
    if (names.size >= maxNames) break;
    if (name !== undefined) names.add(name.toLowerCase());
    else if (isIP(address) !== 0) names.add(hostOf(address));
  }
  return [...names];
}

function hostOf(address: string): string {
  return normaliseHost(address.includes(":") ? `[${address}]` : address);
}

export function dateText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
