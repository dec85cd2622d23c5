/**
 * The part of a request that keeps it with a peer or a side: `hash_by` in an upstream document, `sticky.hash` in a
 * host document.
 */
import * as z from "zod";
import type { HashBy } from "../model/index.ts";
import { fieldName } from "./conditions.ts";

export const hashBySchema = z.union(
  [
    z.enum(["uri", "path", "client", "host"]),
    z.strictObject({ header: fieldName }),
    z.strictObject({ cookie: fieldName }),
    z.strictObject({ path_segment: z.int().min(1).max(100) }),
  ],
  {
    error:
      'is not uri, path, client, host, {"header": NAME}, {"cookie": NAME} or {"path_segment": NUMBER}',
  },
);

export function readHashBy(by: z.output<typeof hashBySchema>): HashBy {
  if (typeof by === "string") return by;
  if ("header" in by) return { header: by.header.toLowerCase() };
  if ("cookie" in by) return by;
  return { pathSegment: by.path_segment };
}
