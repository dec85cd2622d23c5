/** The JSON Schemas for the documents in KV, for editors and for the admin API. */
import * as z from "zod";
import { certificateSchema } from "./certificate-document.ts";
import { hostSchema } from "./host-document.ts";
import { listenerSchema } from "./listener-document.ts";
import { peersSchema } from "./peer-settings.ts";
import { settingSchema } from "./setting.ts";
import { upstreamSchema } from "./upstream-document.ts";

/** JSON Schemas (draft 2020-12) for what an operator may write, by kind of document. */
export function documentSchemas(): Record<
  "upstream" | "host" | "setting" | "peers" | "certificate" | "listener",
  object
> {
  // `input` describes the document as written, where fields with a default may be left out.
  return {
    upstream: z.toJSONSchema(upstreamSchema, { io: "input" }),
    host: z.toJSONSchema(hostSchema, { io: "input" }),
    setting: z.toJSONSchema(settingSchema, { io: "input" }),
    peers: z.toJSONSchema(peersSchema, { io: "input" }),
    certificate: z.toJSONSchema(certificateSchema, { io: "input" }),
    listener: z.toJSONSchema(listenerSchema, { io: "input" }),
  };
}
