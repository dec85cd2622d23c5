/** `acme/challenges/<token>`: what one gateway has to answer to an ACME authority, so that every gateway can. */
import * as z from "zod";
import type { Challenge } from "../model/index.ts";
import { checkDocument, parseJson } from "./document.ts";

/** RFC 8555 section 8.1: a token and a thumbprint, both in base64url. */
const keyAuthorization = /^[A-Za-z0-9_-]{1,256}\.[A-Za-z0-9_-]{43}$/;
const pem = z
  .string()
  .max(16 * 1024)
  .regex(/^-----BEGIN [A-Z ]+-----\n/, { error: "is no PEM" });
const host = z.string().min(1).max(253);

const challengeSchema = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("http-01"),
      host,
      key_authorization: z.string().regex(keyAuthorization, { error: "is no key authorization" }),
    }),
    z.strictObject({ type: z.literal("tls-alpn-01"), host, chain: pem, key: pem }),
  ])
  .describe("What gateways answer while a certificate is ordered. They write it themselves.");

/** Throws a `DocumentError`. */
export function parseChallenge(key: string, text: string): Challenge {
  const document = checkDocument(key, parseJson(key, text), challengeSchema, true);
  if (document.type === "tls-alpn-01") return document;
  const { type, host, key_authorization: keyAuthorization } = document;
  return { type, host, keyAuthorization };
}

export function formatChallenge(challenge: Challenge): string {
  if (challenge.type === "tls-alpn-01") return JSON.stringify(challenge);
  const { type, host, keyAuthorization: key_authorization } = challenge;
  return JSON.stringify({ type, host, key_authorization });
}
