/**
 * What each gateway keeps in Consul KV about itself, `gateways/<name>`: where its admin API is and which versions it has
 * applied. Whoever may write there may write anything, so that nothing is believed that does not fit.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { checkDocument, DocumentError, parseJson } from "./documents/index.ts";
import { isSubject, type Kv, type Subject } from "./releases/index.ts";
import { address, formatAddress } from "./settings-values.ts";

/** Versions as they are compared here: the first digits of the SHA-256 of each text. */
export type Versions = ReadonlyMap<Subject, string>;

/** What a gateway that runs says of itself. */
export interface RegisteredGateway {
  readonly name: string;
  /** Of its admin API, `address:port`. */
  readonly admin: string;
  /** It speaks HTTPS only. */
  readonly isTls: boolean;
  /** ISO 8601; `null`: it does not say. */
  readonly startedAt: string | null;
  /** `null`: it does not say, as one of an earlier version. */
  readonly applied: Applied | null;
}

export interface Applied {
  /** Of the Sluice that runs. */
  readonly software: string;
  /** What every one of its workers has; `null`: too many to be written, and `digest` stands for them. */
  readonly versions: Versions | null;
  /** How many. */
  readonly count: number;
  /** Of all of them. */
  readonly digest: string;
  /** Present texts that it does not let through; its last good versions stay. */
  readonly refused: ReadonlySet<Subject>;
  /** Documents that it serves by what holds there alone, in the place of what Consul has. */
  readonly local: readonly Subject[];
  /** Tokens of the ACME challenges that each of its workers can answer. */
  readonly challenges: readonly string[];
}

export interface Registered {
  readonly gateways: readonly RegisteredGateway[];
  /** Keys that are no running gateway's, each in one line that names the key. */
  readonly faults: readonly string[];
}

const versionDigits = 12;
const maxName = 300;
/** Consul takes 512 KiB a value; 8,000 names of 20 characters fit. */
const maxTextBytes = 320 * 1024;
const maxRefused = 100;
const maxChallenges = 100;

const digits = z.string().regex(/^[0-9a-f]{1,64}$/);
const subject = z.custom<Subject>((name) => typeof name === "string" && isSubject(name));
const document = z.object({
  name: z.string().min(1).max(maxName),
  admin: address(),
  tls: z.boolean().default(false),
  startedAt: z.iso.datetime().nullable().default(null),
  applied: z
    .object({
      software: z.string().max(100),
      versions: z.record(z.string(), digits).nullable(),
      count: z.number().int().nonnegative(),
      digest: digits,
      refused: z.array(subject).max(maxRefused),
      local: z.array(subject).max(maxRefused).default([]),
      challenges: z.array(z.string().max(256)).max(maxChallenges).default([]),
    })
    .nullable()
    .default(null),
});

/** The first digits of a version. */
export function shortVersion(version: string): string {
  return version.slice(0, versionDigits);
}

/** The same for the same versions, in whatever order they are. */
export function digestOf(versions: Versions): string {
  const lines = Array.from(versions, ([name, version]) => `${name} ${version}\n`).sort();
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/** The value of a gateway's key. */
export function formatGateway(gateway: {
  readonly name: string;
  readonly admin: string;
  readonly isTls: boolean;
  readonly pid: number;
  readonly startedAt: string;
  readonly software: string;
  /** `null`: not known yet. */
  readonly versions: Versions | null;
  readonly refused: readonly Subject[];
  readonly local: readonly Subject[];
  readonly challenges: readonly string[];
}): string {
  const { name, admin, isTls, pid, startedAt, software, versions, refused, local, challenges } =
    gateway;
  const text = (list: Versions | null) =>
    JSON.stringify({
      ...{ name, admin, ...(isTls ? { tls: true } : {}), pid, startedAt },
      ...(versions === null
        ? {}
        : {
            applied: {
              ...{ software, count: versions.size, digest: digestOf(versions) },
              versions: list === null ? null : Object.fromEntries(list),
              refused: refused.slice(0, maxRefused),
              local: local.slice(0, maxRefused),
              ...(challenges.length === 0
                ? {}
                : { challenges: challenges.slice(0, maxChallenges) }),
            },
          }),
    });
  const whole = text(versions);
  return Buffer.byteLength(whole) <= maxTextBytes ? whole : text(null);
}

/**
 * The gateways that run now. A key that no session holds was put there by something else, or is left over:
 * nobody would ever answer for it. `folder`: `sluice/gateways/`.
 */
export async function registeredGateways(
  kv: Pick<Kv, "list">,
  folder: string,
): Promise<Registered> {
  const gateways: RegisteredGateway[] = [];
  const faults: string[] = [];
  for (const { key, text, session } of await kv.list(folder)) {
    try {
      const read = checkDocument(key, parseJson(key, text), document);
      const { name, admin, tls, startedAt, applied } = read;
      if (session === null) throw new DocumentError("bad_document", key, "no session holds it");
      if (key !== folder + name) throw new DocumentError("bad_document", key, "names another key");
      gateways.push({
        ...{ name, admin: formatAddress(admin), isTls: tls, startedAt },
        applied: applied === null ? null : readApplied(applied),
      });
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      faults.push(`${error.message}; it is no gateway that runs`);
    }
  }
  return { gateways, faults };
}

function readApplied(applied: NonNullable<z.output<typeof document>["applied"]>): Applied {
  const { software, count, digest, refused, local, challenges } = applied;
  const versions =
    applied.versions === null
      ? null
      : new Map(
          Object.entries(applied.versions).flatMap(([name, version]) =>
            isSubject(name) ? [[name, version] as const] : [],
          ),
        );
  return { software, count, digest, versions, refused: new Set(refused), local, challenges };
}
