/**
 * Reads where requests go: an upstream or a split among several, what requests stay with there, and which `Host` the
 * upstream gets.
 */
import * as z from "zod";
import { pluginUse, pluginUseSchema } from "../../plugins/schemas.ts";
import {
  type Destination,
  parseServiceName,
  type Share,
  type Sticky,
  type Subset,
} from "../model/index.ts";
import { conditionsSchema, costOf, readConditions } from "./conditions.ts";
import { isUpstreamName } from "./entry-name.ts";
import { hashBySchema, readHashBy } from "./hash-by.ts";
import { rampSchema, readRamp } from "./ramp.ts";
import { readSentHost, sentHostSchema } from "./sent-host.ts";

export const upstreamName = z
  .string()
  .max(253)
  .refine((name) => isUpstreamName(name) || parseServiceName(name) !== null, {
    error: (issue) => `${JSON.stringify(issue.input)} is not the name of an upstream or a service`,
  })
  .describe("The name of an upstream document or, when there is none, a Consul service.");

/** Consul's own limits for an instance's metadata: keys of 128 characters, values of 512. */
const metaValue = z.string().max(512);
const tag = z
  .string()
  .min(1)
  .max(512)
  .describe("Instances of the service with this tag; case does not matter.");

/** How many tests one request may need until its side is known. */
const mostForced = 200;

const shareWeight = z.int().min(0).max(1000);

const side = z.strictObject({
  upstream: upstreamName.optional(),
  tag: tag.optional(),
  meta: z
    .record(z.string().min(1).max(128), metaValue)
    .refine((meta) => Object.keys(meta).length > 0, { error: "is empty" })
    .optional()
    .describe("Instances of the service that were registered with all of these metadata."),
  name: z
    .string()
    .regex(/^[A-Za-z0-9_][\w.=-]{0,127}$/, { error: "is not a name: letters, digits, ._=- only" })
    .optional()
    .describe("Its name in tests and explain. Default: the tag, the metadata or the upstream."),
  share: shareWeight.describe("Its share of the requests, in proportion to the others."),
  ramp: rampSchema.optional().describe("How the share grows with time."),
  force: z
    .union([conditionsSchema, z.array(conditionsSchema).min(1).max(20)], {
      error: "is not an object with conditions, or a list of them",
    })
    .optional()
    .describe("Requests that meet this, or one of a list, go here, whatever the share."),
});

const split = z
  .union(
    [
      z
        .record(upstreamName, shareWeight)
        .describe("Upstreams and their shares of the requests, in proportion."),
      z.array(side).min(1).max(100).describe("Sides, each with its share."),
    ],
    { error: "is not an object of upstreams and shares, or a list of sides" },
  )
  .describe("The sides that share the requests.");

const cookie = z.strictObject({
  name: z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: "is not a cookie's name" }),
  path: z
    .string()
    .regex(/^\/[\x21-\x3a\x3c-\x7e]{0,1023}$/, { error: "is not a path" })
    .default("/"),
  secure: z.boolean().optional().describe("Default: as the request came, by HTTPS or not."),
  http_only: z.boolean().default(true),
  same_site: z.enum(["strict", "lax", "none"]).default("lax"),
  max_age: z
    .int()
    .min(1)
    .max(34_560_000)
    .optional()
    .describe("Seconds. Default: until the browser ends."),
});

const stickySchema = z
  .strictObject({
    cookie: z
      .union([cookie.shape.name, cookie], { error: "is not a name, or an object with a name" })
      .optional()
      .describe("A cookie that the gateway sets. It names no server in clear."),
    hash: hashBySchema.optional().describe("A part of the request, as in an upstream's hash_by."),
    to: z
      .enum(["side", "server"])
      .default("server")
      .describe("What it stays with: a side of the split, or also a server there."),
  })
  .describe("What requests of one client stay with.");

/** The fields that go with every way to write a destination as an object. */
const common = {
  plugins: z
    .array(pluginUseSchema)
    .max(50)
    .optional()
    .describe("Plugins for this path or route, in order. They run after the host's."),
  sticky: stickySchema.optional(),
  host: sentHostSchema.optional(),
};

/** The fields of a destination that is written as an object. */
export const destinationFields = {
  upstream: upstreamName.optional(),
  service: upstreamName
    .optional()
    .describe("The upstream whose instances the sides' tags and metadata narrow."),
  split: split.optional(),
  ...common,
};

const destinationObject = z.strictObject(destinationFields);

export const destinationSchema = z.union([upstreamName, destinationObject], {
  error: 'is not an upstream\'s name, {"upstream": ...} or {"split": {...}}',
});

type Written = z.output<typeof destinationObject>;

/** Gathers what is found while one document's destinations are read. */
export interface Reading {
  readonly problems: string[];
  cronTimesLeft: number;
}

/** `field`: the name that problems begin with. */
export function readDestination(
  field: string,
  written: Written | string,
  reading: Reading,
): Destination {
  if (typeof written === "string") return { shares: [{ upstream: written, weight: 1 }] };
  const complain = (problem: string) => void reading.problems.push(`${field}${problem}`);
  const shares = readShares(written, reading, complain);
  const plugins = (written.plugins ?? []).map(pluginUse);
  const { sticky } = written;
  const sentHost = readSentHost(written.host);
  const stays = sticky === undefined ? null : readSticky(sticky, shares.length, complain);
  return {
    shares,
    ...(plugins.length === 0 ? {} : { plugins }),
    ...(stays === null ? {} : { sticky: stays }),
    ...(sentHost === null ? {} : { sentHost }),
  };
}

function readShares(
  { upstream, service, split }: Written,
  reading: Reading,
  complain: (problem: string) => void,
): readonly Share[] {
  if (split === undefined) {
    if (service !== undefined) complain(".service: goes with a split of it");
    if (upstream === undefined) complain(": has neither upstream nor split");
    return [{ upstream: upstream ?? "", weight: 1 }];
  }
  if (upstream !== undefined) complain(": has both upstream and split");
  const shares: readonly Share[] = Array.isArray(split)
    ? split.map((one, at) =>
        readSide(one, service, reading, (text) => complain(`.split[${at}]${text}`)),
      )
    : Object.entries(split).map(([name, weight]) => ({ upstream: name, weight }));
  if (!Array.isArray(split) && service !== undefined)
    complain(".service: goes with a split that is a list of tags or metadata");
  if (shares.length === 0) complain(".split: is empty");
  else if (!shares.some(({ weight }) => weight > 0)) complain(".split: every share is 0");
  const tests = sum(shares.flatMap(({ forced = [] }) => forced.map(costOf)));
  if (tests > mostForced)
    complain(`.split: its sides force requests by ${tests} tests, more than ${mostForced}`);
  const names = shares.map(({ name, upstream: of }) => name ?? of);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) complain(`.split: two sides are named ${JSON.stringify(twice)}`);
  return shares;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function readSide(
  written: z.output<typeof side>,
  service: string | undefined,
  reading: Reading,
  complain: (problem: string) => void,
): Share {
  const { upstream, tag, meta, share: weight, force, ramp } = written;
  const isSubset = tag !== undefined || meta !== undefined;
  const of = upstream ?? service;
  if (of === undefined)
    complain(isSubset ? ": has a tag or metadata of no service" : ": has no upstream");
  else if (upstream === undefined && !isSubset) complain(": has no upstream, tag or meta");
  if (isSubset && of !== undefined && (parseServiceName(of)?.tag ?? null) !== null)
    complain(`: ${JSON.stringify(of)} has a tag already`);
  const subset: Subset | null = isSubset
    ? {
        ...(tag === undefined ? {} : { tag: tag.toLowerCase() }),
        ...(meta === undefined ? {} : { meta }),
      }
    : null;
  const name = written.name ?? (subset === null ? undefined : nameOf(subset));
  const grows = ramp === undefined ? null : readRamp(ramp, weight, reading.cronTimesLeft, complain);
  if (grows !== null && "atMs" in grows) reading.cronTimesLeft -= grows.atMs.length;
  return {
    upstream: of ?? "",
    weight,
    ...(subset === null ? {} : { subset }),
    ...(name === undefined ? {} : { name }),
    ...(force === undefined ? {} : { forced: [force].flat().map(readConditions) }),
    ...(grows === null ? {} : { ramp: grows }),
  };
}

/** The name of a subset: `v2`, or `version=2`. */
function nameOf({ tag, meta = {} }: Subset): string {
  const pairs = Object.entries(meta).map(([key, value]) => `${key}=${value}`);
  return [...(tag === undefined ? [] : [tag]), ...pairs].join(",");
}

function readSticky(
  { cookie: given, hash, to }: z.output<typeof stickySchema>,
  sides: number,
  complain: (problem: string) => void,
): Sticky | null {
  if ((given === undefined) === (hash === undefined)) {
    complain(".sticky: has to have one of cookie and hash");
    return null;
  }
  if (to === "side" && sides === 1) complain(".sticky.to: there is no split with sides");
  if (hash !== undefined) return { by: { hash: readHashBy(hash) }, to };
  const { name, path, http_only, same_site, secure, max_age } =
    typeof given === "string" ? cookie.parse({ name: given }) : cookie.parse(given);
  if (same_site === "none" && secure === false)
    complain('.sticky.cookie.secure: browsers refuse same_site "none" without it');
  return {
    by: {
      cookie: {
        name,
        path,
        httpOnly: http_only,
        sameSite: same_site,
        ...(secure === undefined ? {} : { secure }),
        ...(max_age === undefined ? {} : { maxAgeS: max_age }),
      },
    },
    to,
  };
}
