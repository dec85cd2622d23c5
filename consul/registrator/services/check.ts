/**
 * Health checks from SERVICE_CHECK_ labels (gliderlabs/registrator's documentation, "Consul"). Checks
 * that would run a command on the Consul agent are refused.
 */
import type { Attribute, Attributes } from "./metadata.ts";

export interface Timing {
  readonly interval: string;
  readonly timeout: string;
}

/** A check without its target, which is known when the service is registered. */
export type CheckTarget =
  | ({ readonly kind: "http"; readonly scheme: "http" | "https" } & Timing & {
        readonly path: string;
        readonly method: string | null;
      })
  | ({ readonly kind: "tcp" } & Timing)
  | ({ readonly kind: "grpc"; readonly tls: boolean; readonly skipVerify: boolean } & Timing)
  | { readonly kind: "ttl"; readonly ttl: string }
  /** Stays critical: what was asked for is refused, and a service without a check would pass. */
  | { readonly kind: "refused"; readonly reason: string };

export type ServiceCheck = CheckTarget & {
  readonly status: "passing" | "warning" | "critical" | null;
  readonly deregisterAfter: string | null;
};

/** A label that could not be followed, and what was done instead. */
export interface Problem {
  readonly label: string;
  readonly sentence: string;
}

const defaultInterval = "10s";
/** Consul's own default for HTTP, TCP and gRPC checks. */
const defaultTimeout = "10s";
const duration = /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/;
/** What changes nothing (RFC 9110 section 9.2.1): the agent sends a check to wherever it leads. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD"]);
/** The labels that ask for a check; the others say how it is done. */
const kinds = ["cmd", "script", "http", "https", "ttl", "tcp", "grpc"] as const;

/** Labels that say how a check is made, and do nothing alone. */
const manners = [
  "check_interval",
  "check_timeout",
  "check_initial_status",
  "check_deregister_after",
  "check_http_method",
  "check_https_method",
  "check_grpc_use_tls",
  "check_tls_skip_verify",
] as const;

/** Labels without effect: of further checks, since a service has one, and of the manner of a check that is none. */
function tellIgnored(attributes: Attributes, made: CheckTarget | null, problems: Problem[]): void {
  const asked = kinds.filter((kind) => asksFor(attributes, kind));
  const used = made?.kind === "http" ? made.scheme : made?.kind;
  let isMade = false;
  for (const kind of asked) {
    const label = attributes.get(`check_${kind}`)?.label ?? "";
    if (isMade)
      problems.push({ label, sentence: `has no effect: a service has one check, here ${used}` });
    isMade ||= kind === used;
  }
  if (asked.length > 0) return;
  for (const key of manners) {
    const label = given(attributes, key)?.label;
    if (label === undefined) continue;
    problems.push({ label, sentence: "has no effect: no label asks for a check" });
  }
}

/** The same, but a check that is refused is one that stays critical. `null`: the labels ask for none. */
export function checkOf(attributes: Attributes, problems: Problem[]): ServiceCheck | null {
  const refusals: Problem[] = [];
  const check = readCheck(attributes, refusals);
  tellIgnored(attributes, check, problems);
  problems.push(...refusals);
  if (check !== null) return check;
  const asked = kinds.find((kind) => asksFor(attributes, kind));
  return asked === undefined ? null : refusedCheck(refusals.map(asLine).join("; "));
}

export function refusedCheck(reason: string): ServiceCheck {
  return { kind: "refused", reason, status: "critical", deregisterAfter: null };
}

export function asLine({ label, sentence }: Problem): string {
  return `${label}: ${sentence}`;
}

/** An attribute that asks for a method which checks do not use. */
export function isRefusedMethod(key: string, value: string): boolean {
  return /^check_https?_method$/.test(key) && !methods.has(value.toUpperCase());
}

function asksFor(attributes: Attributes, kind: (typeof kinds)[number]): boolean {
  const key = `check_${kind}`;
  return kind === "tcp" || kind === "grpc"
    ? isOn(attributes, key)
    : given(attributes, key) !== null;
}

/** The check that the labels ask for, or `null`; each label that does not fit adds a problem. */
export function readCheck(attributes: Attributes, problems: Problem[]): ServiceCheck | null {
  const target = readTarget(attributes, problems);
  if (target === null) return null;
  const deregisterAfter = readDuration(attributes, "check_deregister_after", null, problems);
  return { ...target, status: readStatus(attributes, problems), deregisterAfter };
}

function readTarget(attributes: Attributes, problems: Problem[]): CheckTarget | null {
  for (const key of ["check_cmd", "check_script"]) {
    const command = given(attributes, key);
    if (command) {
      const sentence = "would run a command on the Consul agent and is refused; no such check";
      problems.push({ label: command.label, sentence });
    }
  }
  for (const scheme of ["http", "https"] as const) {
    const path = given(attributes, `check_${scheme}`);
    if (!path) continue;
    if (!/^\/[\x21-\x7e]*$/.test(path.value)) {
      const sentence = `takes a path like "/health", not ${JSON.stringify(path.value)}; no such check`;
      problems.push({ label: path.label, sentence });
      continue;
    }
    const verb = given(attributes, `check_${scheme}_method`);
    const method = verb?.value.toUpperCase() ?? "GET";
    if (verb && !methods.has(method))
      problems.push({ label: verb.label, sentence: "takes GET or HEAD; GET is used" });
    return {
      ...{ kind: "http", scheme, path: path.value },
      method: verb && methods.has(method) ? method : null,
      ...readTiming(attributes, problems),
    };
  }
  const ttl = given(attributes, "check_ttl");
  if (ttl) {
    const value = readDuration(attributes, "check_ttl", null, problems);
    if (value !== null) return { kind: "ttl", ttl: value };
  }
  if (isOn(attributes, "check_tcp")) return { kind: "tcp", ...readTiming(attributes, problems) };
  if (isOn(attributes, "check_grpc")) {
    const tls = isOn(attributes, "check_grpc_use_tls");
    const skipVerify = isOn(attributes, "check_tls_skip_verify");
    return { kind: "grpc", tls, skipVerify, ...readTiming(attributes, problems) };
  }
  return null;
}

function readTiming(attributes: Attributes, problems: Problem[]): Timing {
  return {
    interval: readDuration(attributes, "check_interval", defaultInterval, problems),
    timeout: readDuration(attributes, "check_timeout", defaultTimeout, problems),
  };
}

function readDuration<Fallback extends string | null>(
  attributes: Attributes,
  key: string,
  fallback: Fallback,
  problems: Problem[],
): string | Fallback {
  const attribute = given(attributes, key);
  if (!attribute) return fallback;
  const { value, label } = attribute;
  if (duration.test(value) && /[1-9]/.test(value)) return value;
  const instead = fallback === null ? "it is left out" : `${fallback} is used`;
  const sentence = `takes a duration like "15s", not ${JSON.stringify(value)}; ${instead}`;
  problems.push({ label, sentence });
  return fallback;
}

function readStatus(attributes: Attributes, problems: Problem[]): ServiceCheck["status"] {
  const attribute = given(attributes, "check_initial_status");
  if (!attribute) return null;
  const { value, label } = attribute;
  if (value === "passing" || value === "warning" || value === "critical") return value;
  const sentence = `takes passing, warning or critical, not ${JSON.stringify(value)}; Consul's own is used`;
  problems.push({ label, sentence });
  return null;
}

function given(attributes: Attributes, key: string): Attribute | null {
  const attribute = attributes.get(key);
  return attribute && attribute.value !== "" ? attribute : null;
}

/** Set to anything but a plain no. */
export function isOn(attributes: Attributes, key: string): boolean {
  const value = attributes.get(key)?.value.trim().toLowerCase() ?? "";
  return value !== "" && !["false", "0", "no", "off"].includes(value);
}
