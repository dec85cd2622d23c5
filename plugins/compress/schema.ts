import * as z from "zod";

const codings = ["zstd", "br", "gzip"] as const;

const mediaType = z
  .string()
  .max(128)
  .regex(/^[a-z0-9!#$&^_.+-]+\/([a-z0-9!#$&^_.+-]+|\*)$/, {
    error: 'is not a media type in lower case, such as "text/html" or "text/*"',
  });

/** What compresses well and is common. */
const usual = [
  "text/*",
  "application/json",
  "application/javascript",
  "application/xml",
  "application/manifest+json",
  "application/wasm",
  "application/x-ndjson",
  "image/svg+xml",
] as const;

export const compressSchema = z.strictObject({
  types: z
    .array(mediaType)
    .min(1)
    .max(100)
    .default([...usual])
    .describe("Media types of answers that are compressed; `text/*` means all texts."),
  min_bytes: z
    .int()
    .min(0)
    .max(1_048_576)
    .default(1_024)
    .describe(
      "Shorter answers stay as they are. Does not hold for those that do not tell their length.",
    ),
  codings: z
    .array(z.enum(codings))
    .min(1)
    .refine((list) => new Set(list).size === list.length, { error: "names a coding twice" })
    .default(["zstd", "br", "gzip"])
    .describe("Which may be used. Of those that a client likes equally well the first here wins."),
});

export type CompressOptions = z.output<typeof compressSchema>;
