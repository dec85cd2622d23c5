/** The parser for each kind of value that operators and gateways write into KV. */
import { type DocumentKind, type Entries, type Source, versionOf } from "../model/index.ts";
import { parseAgreement } from "./agreement.ts";
import { parseCertificate } from "./certificate-document.ts";
import { parseChallenge } from "./challenge-document.ts";
import { maxDocumentBytes } from "./document.ts";
import { DocumentError } from "./document-error.ts";
import { parseHostDocument } from "./host-document.ts";
import { parseListenerDocument } from "./listener-document.ts";
import { parsePeerSettings } from "./peer-settings.ts";
import { parseSetting } from "./setting.ts";
import { parseUpstreamDocument } from "./upstream-document.ts";

/** Reads the text at the whole key `key`, which has this ModifyIndex. Throws a `DocumentError`. */
export type Parser<Value> = (key: string, text: string, modifyIndex: number) => Value;

export const parsers: { readonly [K in DocumentKind]: Parser<Entries[K]> } = {
  upstream: parseUpstreamDocument,
  host: parseHostDocument,
  script: parseSource,
  module: parseSource,
  setting: parseSetting,
  listener: parseListenerDocument,
  agreement: parseAgreement,
  peer: parsePeerSettings,
  certificate: parseCertificate,
  challenge: parseChallenge,
};

/** Returns a text with its version. Throws a `DocumentError` when it is too large. */
export function parseSource(key: string, text: string, modifyIndex: number): Source {
  // Consul's own limit. The sandbox finds out what the text says.
  if (Buffer.byteLength(text) > maxDocumentBytes)
    throw new DocumentError("too_large", key, `is above ${maxDocumentBytes} bytes`);
  return { text, version: versionOf(text), modifyIndex };
}
