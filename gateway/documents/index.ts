/**
 * The door of the documents room: reads and checks what operators put into KV. The primary's side
 * alone uses it; a worker knows documents as the data that they become (`model/`).
 */

export { formatAgreement, parseAgreement } from "./agreement.ts";
export { type Bell, bellFolder, formatBell, hostsSince, readBell, ringBell } from "./bell.ts";
export { checkDocument, maxDocumentBytes, parseJson } from "./document.ts";
export type { DocumentErrorCode } from "./document-error.ts";
export { DocumentError } from "./document-error.ts";
export { parseEntryName, parseHostName } from "./entry-name.ts";
export { parseHostDocument } from "./host-document.ts";
export { documentSchemas } from "./json-schema.ts";
export { type Parser, parsers, parseSource } from "./parsers.ts";
export { parseSetting } from "./setting.ts";
export { type FindForeign, foreignIn } from "./tenancy.ts";
export { parseUpstreamDocument } from "./upstream-document.ts";
