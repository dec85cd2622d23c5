/**
 * Parses and checks the bodies of requests. As in Consul, field names may have any case and underscores, `null` counts
 * as absent, and unknown fields are refused.
 */
import { z } from "zod";
import { ApiError } from "./api-error.ts";
import { parseDuration } from "./duration.ts";

function plain(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

/** An object in Consul's lenient spelling. Refuses fields that `shape` does not have. */
function goObject<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.preprocess(respell(shape), z.strictObject(shape));
}

function respell(shape: object) {
  const spelling = new Map(Object.keys(shape).map((name) => [plain(name), name]));
  return (value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, field]) => field !== null)
        .map(([name, field]) => [spelling.get(plain(name)) ?? name, field]),
    );
  };
}

const text = z.string().default("");
const texts = z.array(z.string()).default([]);
const number = z.int().default(0);
const flag = z.boolean().default(false);

/** A duration in Go's notation or in nanoseconds; gives milliseconds. Default 0. */
const duration = z
  .union([z.string(), z.number()])
  .transform((value, context) => {
    if (typeof value === "number") return value / 1e6;
    const ms = value === "" ? 0 : parseDuration(value);
    if (ms !== null) return ms;
    context.addIssue(`invalid duration "${value}"`);
    return z.NEVER;
  })
  .default(0);

const meta = z
  .record(z.string(), z.string())
  .superRefine((pairs, context) => {
    const bad = Object.keys(pairs).find((key) => !/^[a-zA-Z0-9_-]{1,128}$/.test(key));
    if (bad !== undefined) context.addIssue(`the key "${bad}" contains invalid characters`);
  })
  .optional();

const weights = goObject({ Passing: number, Warning: number }).optional();
const taggedAddresses = z.record(z.string(), goObject({ Address: text, Port: number })).optional();

const agentCheck = goObject({
  ID: text,
  CheckID: text,
  Name: text,
  Notes: text,
  Status: text,
  ServiceID: text,
  TTL: duration,
  HTTP: text,
  Method: text,
  Header: z.record(z.string(), z.array(z.string())).default({}),
  Body: text,
  TLSSkipVerify: flag,
  TCP: text,
  Interval: duration,
  Timeout: duration,
  DeregisterCriticalServiceAfter: duration,
  SuccessBeforePassing: number,
  FailuresBeforeCritical: number,
  // Kinds of check that the agent does not run: naming them here gives each a clear refusal.
  Args: z.unknown().optional(),
  ScriptArgs: z.unknown().optional(),
  Script: z.unknown().optional(),
  GRPC: z.unknown().optional(),
  DockerContainerID: z.unknown().optional(),
  AliasNode: z.unknown().optional(),
  AliasService: z.unknown().optional(),
});

const agentService = goObject({
  ID: text,
  Name: text,
  Tags: texts,
  Address: text,
  TaggedAddresses: taggedAddresses,
  Meta: meta,
  Port: number,
  Weights: weights,
  EnableTagOverride: flag,
  Check: agentCheck.optional(),
  Checks: z.array(agentCheck).default([]),
});

const checkUpdate = goObject({ Status: text, Output: text });

const catalogService = goObject({
  ID: text,
  Service: text,
  Tags: texts,
  Address: text,
  TaggedAddresses: taggedAddresses,
  Meta: meta,
  Port: number,
  Weights: weights,
  EnableTagOverride: flag,
});

const catalogCheck = goObject({
  Node: text,
  CheckID: text,
  Name: text,
  Notes: text,
  Status: text,
  Output: text,
  ServiceID: text,
  ServiceName: text,
  Type: text,
  Definition: z.unknown().optional(),
});

const catalogRegistration = goObject({
  ID: text,
  Node: text,
  Address: text,
  Datacenter: text,
  TaggedAddresses: z.record(z.string(), z.string()).optional(),
  NodeMeta: meta,
  Service: catalogService.optional(),
  Check: catalogCheck.optional(),
  Checks: z.array(catalogCheck).default([]),
  SkipNodeUpdate: flag,
});

const catalogDeregistration = goObject({
  Node: text,
  Datacenter: text,
  ServiceID: text,
  CheckID: text,
});

/** Below this a number is taken for seconds, as Consul does. */
const leastLockDelayNs = 1000;

const lockDelay = z
  .preprocess(
    (value) => (typeof value === "number" && value < leastLockDelayNs ? `${value}s` : value),
    duration,
  )
  .default(15_000);

const sessionFields = {
  Name: text,
  Node: z.string().optional(),
  LockDelay: lockDelay,
  Behavior: z.string().default("release"),
  TTL: text,
  Checks: z.array(z.string()).optional(),
  NodeChecks: z.array(z.string()).optional(),
};

// Consul refuses no field here that it does not know.
const session = z.preprocess(respell(sessionFields), z.object(sessionFields));

const base64 = z
  .string()
  .regex(/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, "illegal base64")
  .default("");

const txn = z.array(
  goObject({
    KV: goObject({
      Verb: text,
      Key: text,
      Value: base64,
      Flags: number,
      Index: number,
      Session: text,
    }),
  }),
);

/** The bodies that the agent reads, by what they are for. */
export const bodies = {
  agentCheck,
  agentService,
  catalogDeregistration,
  catalogRegistration,
  checkUpdate,
  session,
  txn,
};

export type AgentCheckBody = z.output<typeof agentCheck>;
export type AgentServiceBody = z.output<typeof agentService>;

/** Reads a body. Throws a 400 that names the field that is wrong. */
export function parseBody<T>(schema: z.ZodType<T>, body: Buffer): T {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (error) {
    const reason = body.length === 0 ? "EOF" : error instanceof Error ? error.message : "not JSON";
    throw new ApiError(400, `Request decode failed: ${reason}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ApiError(400, `Request decode failed: ${describe(issue)}`);
}

function describe(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return "not as expected";
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys
      .map((key) => `unknown field "${path === "" ? key : `${path}.${key}`}"`)
      .join(", ");
  }
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}
