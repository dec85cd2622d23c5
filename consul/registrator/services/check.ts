/**
 * Health checks from SERVICE_CHECK_ labels (gliderlabs/registrator's documentation, "Consul"). Checks
 * that would run a command on the Consul agent are refused.
 */
import type { Health } from "../docker/inspect.ts";
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
  /** The container itself refreshes it. */
  | { readonly kind: "ttl"; readonly ttl: string }
  /** The registrator refreshes it for as long as the container runs. */
  | { readonly kind: "alive"; readonly ttl: string }
  /** The registrator passes on what Docker's own HEALTHCHECK says. */
  | { readonly kind: "health"; readonly ttl: string; readonly health: Health }
  /**
   * Stays critical, because the check that the labels ask for is refused, and a service without a check would
   * pass.
   */
  | { readonly kind: "refused"; readonly reason: string };

/** The check of a service that no label asks one for. */
export type FallbackCheck = Extract<CheckTarget, { readonly kind: "alive" | "health" }>;

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
/** Safe methods (RFC 9110 section 9.2.1), because the agent sends a check wherever redirects lead. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD"]);
/** The labels that ask for a check; the others say how it is done. */
const kinds = ["cmd", "script", "http", "https", "ttl", "tcp", "grpc"] as const;

const timing = ["check_interval", "check_timeout"];
const life = ["check_initial_status", "check_deregister_after"];
/** By kind of check, the labels that say how it is made. */
const manners: Readonly<Record<string, readonly string[]>> = {
  http: [...timing, ...life, "check_http_method"],
  https: [...timing, ...life, "check_https_method"],
  ttl: life,
  tcp: [...timing, ...life],
  grpc: [...timing, ...life, "check_grpc_use_tls", "check_tls_skip_verify"],
  alive: ["check_deregister_after"],
  health: life,
};
const allManners: ReadonlySet<string> = new Set(Object.values(manners).flat());

/** Labels of one container that did something for one of its ports, and that did nothing for another. */
export class LabelUse {
  readonly #used = new Set<string>();
  readonly #idle = new Map<string, string>();

  use(label: string): void {
    this.#used.add(label);
  }

  idle(label: string, sentence: string): void {
    this.#idle.set(label, sentence);
  }

  /** The labels that did nothing for any port. */
  problems(): readonly Problem[] {
    const idle = [...this.#idle].filter(([label]) => !this.#used.has(label));
    return idle.map(([label, sentence]) => ({ label, sentence }));
  }
}

/**
 * The check that the labels ask for, or `fallback`. A check that is refused, and one that nobody knows, is one
 * that stays critical. `null`: there is none.
 */
export function checkOf(
  attributes: Attributes,
  fallback: FallbackCheck | null,
  problems: Problem[],
  use: LabelUse,
): ServiceCheck | null {
  const refusals: Problem[] = [];
  let check = readCheck(attributes, refusals);
  refusals.push(...unknownChecks(attributes));
  if (check === null && refusals.length > 0 && asksForCheck(attributes))
    check = refusedCheck(refusals.map(asLine).join("; "));
  if (check === null && fallback !== null) check = withLife(fallback, attributes, refusals);
  tellIdle(attributes, check, new Set(refusals.map(({ label }) => label)), use);
  problems.push(...refusals);
  return check;
}

/** What begins like a label of a check and is none that is known: a word that is misspelt, most often. */
function unknownChecks(attributes: Attributes): readonly Problem[] {
  const known = new Set([...kinds.map((kind) => `check_${kind}`), ...allManners]);
  const unknown = [...attributes].filter(
    ([key, { value }]) => key.startsWith("check_") && value !== "" && !known.has(key),
  );
  const sentence = "is no check that is known (HTTP, HTTPS, TTL, TCP, GRPC), nor how one is made";
  return unknown.map(([, { label }]) => ({ label, sentence }));
}

function asksForCheck(attributes: Attributes): boolean {
  return kinds.some((kind) => asksFor(attributes, kind)) || unknownChecks(attributes).length > 0;
}

/** Further checks, since a service has one, and how a check is made that is none or another. */
function tellIdle(
  attributes: Attributes,
  made: ServiceCheck | null,
  told: ReadonlySet<string>,
  use: LabelUse,
): void {
  if (made?.kind === "refused") return;
  const kind = made?.kind === "http" ? made.scheme : made?.kind;
  for (const other of kinds) {
    const label = attributes.get(`check_${other}`)?.label;
    if (label === undefined || told.has(label) || !asksFor(attributes, other)) continue;
    if (other === kind) use.use(label);
    else use.idle(label, `has no effect: a service has one check, here ${spoken[kind ?? ""]}`);
  }
  for (const key of allManners) {
    const label = given(attributes, key)?.label;
    if (label === undefined || told.has(label)) continue;
    if (kind === undefined) use.idle(label, "has no effect: no label asks for a check");
    else if (manners[kind]?.includes(key)) use.use(label);
    else use.idle(label, `has no effect: the check is ${spoken[kind]}`);
  }
}

const spoken: Readonly<Record<string, string>> = {
  http: "HTTP",
  https: "HTTPS",
  ttl: "TTL",
  tcp: "TCP",
  grpc: "gRPC",
  alive: "the one of --ttl",
  health: "Docker's HEALTHCHECK",
};

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
  return target === null ? null : withLife(target, attributes, problems);
}

function withLife(target: CheckTarget, attributes: Attributes, problems: Problem[]): ServiceCheck {
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
