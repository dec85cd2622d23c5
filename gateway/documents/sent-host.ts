/** Which `Host` an upstream gets, in host documents and in upstream documents. */
import * as z from "zod";
import { isAuthority } from "../engine/message/authority.ts";
import type { SentHost } from "../model/index.ts";

export const sentHostSchema = z
  .string()
  .max(259)
  .refine((host) => host === "keep" || host === "peer" || (host !== "" && isAuthority(host)), {
    error: (issue) => `${JSON.stringify(issue.input)} is not "keep", "peer" or a host`,
  })
  .describe(
    'Which Host the upstream gets: "keep" the client\'s, "peer" the server\'s address, or this one. Default: keep.',
  );

/** Returns `null` for the client's own. */
export function readSentHost(written: string | undefined): SentHost | null {
  if (written === undefined || written === "keep") return null;
  return written === "peer" ? written : { name: written };
}
