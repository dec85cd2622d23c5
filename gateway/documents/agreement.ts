/**
 * The document `live/<host>`: which versions of a script the gateways have agreed on. The gateways write it, but so
 * can anybody with a token for the prefix, so every number and text in it has a bound.
 */
import * as z from "zod";
import { type Agreement, maxRolloutSteps, maxStepMs } from "../model/index.ts";
import { checkDocument, parseJson } from "./document.ts";

const version = z.string().regex(/^[0-9a-f]{64}$/);
const time = z.iso.datetime().transform((text) => Date.parse(text));

const texts = z.array(z.string().max(8_192)).max(1_000).nullable();
const stalled = z.object({ methods: texts, paths: texts, onError: z.enum(["deny", "skip"]) });

const agreementSchema = z
  .object({
    revision: z.int().min(0),
    index: z.int().min(0),
    live: version.nullable(),
    liveSince: time.optional(),
    before: version.nullable(),
    next: z
      .object({
        version,
        startedAt: time,
        percent: z.number().gt(0).max(100),
        stepsMs: z.array(z.int().min(1).max(maxStepMs)).min(1).max(maxRolloutSteps),
        by: z
          .string()
          .regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, "is not the name of a header in lower case")
          .nullable(),
      })
      .nullable(),
    takenBack: z
      .array(
        z
          .object({ version, at: time, reason: z.string().max(1_000), stalled: stalled.optional() })
          .transform(({ stalled: what, ...one }) =>
            what === undefined ? one : { ...one, stalled: what },
          ),
      )
      .max(100),
  })
  .transform(({ liveSince, ...agreement }) =>
    liveSince === undefined ? agreement : { ...agreement, liveSince },
  );

/**
 * Reads the text of `live/<host>`; `key` is the whole key, and `modifyIndex` is its ModifyIndex. The source that the
 * gateways decided for must be older than the decision. If it seems newer, another Consul counted the indexes (the
 * keys were imported from there), and `index` is read as 0. Throws a `DocumentError`.
 */
export function parseAgreement(key: string, text: string, modifyIndex: number): Agreement {
  const agreement = checkDocument(key, parseJson(key, text), agreementSchema);
  return agreement.index < modifyIndex ? agreement : { ...agreement, index: 0 };
}

/** The text of an agreement document. Times are in ISO 8601, for people. */
export function formatAgreement(agreement: Agreement): string {
  const { liveSince, next, takenBack } = agreement;
  const iso = (ms: number) => new Date(ms).toISOString();
  return JSON.stringify({
    ...agreement,
    ...(liveSince === undefined ? {} : { liveSince: iso(liveSince) }),
    next: next === null ? null : { ...next, startedAt: iso(next.startedAt) },
    takenBack: takenBack.map((one) => ({ ...one, at: iso(one.at) })),
  });
}
