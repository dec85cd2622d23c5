/**
 * A document `certificates/<name>`: a certificate with its key, which may be sealed, or authorities for clients or
 * peers. Messages say only whether there is a key; none ever repeats one.
 */
import * as z from "zod";
import type { Certificate } from "../model/index.ts";
import { checkDocument, parseJson } from "./document.ts";

const pem = (what: string) =>
  z
    .string()
    .max(256 * 1024)
    .regex(/-----BEGIN [A-Z0-9 ]+-----/, { error: `is not ${what} as PEM` });
const certificates = pem("certificates");
const issued = z
  .literal(true)
  .optional()
  .describe("A gateway ordered it by ACME, and replaces it. Without this, none ever does.");

export const certificateSchema = z
  .union(
    [
      z.strictObject({
        chain: certificates.describe("The certificate, then those of its issuers."),
        key: pem("a private key").describe("Its private key. Anybody who can read KV can read it."),
        acme: issued,
      }),
      z.strictObject({
        chain: certificates,
        sealed_key: z
          .string()
          .max(64 * 1024)
          .describe("Its private key, sealed by `sluice certificate`."),
        acme: issued,
      }),
      z.strictObject({
        authorities: certificates.describe(
          "Authorities for clients or peers, for documents that name them.",
        ),
      }),
    ],
    { error: "needs chain and key, chain and sealed_key, or authorities, each as PEM" },
  )
  .describe("A certificate and its key, or authorities.");

/** Reads the text of `certificates/<name>`; `key` is the whole key. Throws a `DocumentError`. */
export function parseCertificate(key: string, text: string): Certificate {
  const document = checkDocument(key, parseJson(key, text), certificateSchema, true);
  if ("authorities" in document)
    return { chain: document.authorities, key: null, sealedKey: null, facts: null };
  const { chain, acme } = document;
  const common = { chain, facts: null, ...(acme === undefined ? {} : { isFromAcme: acme }) };
  return "key" in document
    ? { ...common, key: document.key, sealedKey: null }
    : { ...common, key: null, sealedKey: document.sealed_key };
}
