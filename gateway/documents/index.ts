/**
 * The door of the documents room, which reads and checks what operators put into KV. Only the primary's side uses it;
 * workers know documents as the data that they become (`model/`).
 */

export { pluginUse, pluginUseSchema } from "../../plugins/schemas.ts";
export { isAddressBlock } from "../engine/message/address-blocks.ts";
export { isAuthority } from "../engine/message/authority.ts";
export { formatAgreement, parseAgreement } from "./agreement.ts";
export { type Bell, bellFolder, formatBell, hostsSince, readBell, ringBell } from "./bell.ts";
export { parseCertificate } from "./certificate-document.ts";
export { formatChallenge } from "./challenge-document.ts";
export { cronFault, isTimeZone } from "./cron.ts";
export { checkDocument, maxDocumentBytes, parseJson } from "./document.ts";
export type { DocumentErrorCode } from "./document-error.ts";
export { DocumentError } from "./document-error.ts";
export { parseEntryName, parseHostName } from "./entry-name.ts";
export { nearName } from "./field-hint.ts";
export { parseHostDocument } from "./host-document.ts";
export { documentSchemas } from "./json-schema.ts";
export { parseListenerDocument } from "./listener-document.ts";
export {
  type CronCalendar,
  calendarOf,
  Difference,
  lastMinute,
  nextMinute,
  occurs,
} from "./moments.ts";
export { orderFault, parseOrderName } from "./order-name.ts";
export { type Parser, parsers, parseSource } from "./parsers.ts";
export { findPathProblem } from "./path-problem.ts";
export {
  formatPeerSettings,
  parsePeerAddress,
  parsePeerSettings,
  peerWeight,
} from "./peer-settings.ts";
export { parseSetting } from "./setting.ts";
export { type FindForeign, foreignIn, foreignRoute } from "./tenancy.ts";
export { parseUpstreamDocument } from "./upstream-document.ts";
