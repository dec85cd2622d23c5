/** What can go wrong with a query to Consul, and the one line that says it to an operator. */
import { ClientRequest } from "node:http";

export type ConsulErrorCode =
  /** No connection, or it broke before a whole answer. */
  | "unreachable"
  /** No whole answer before the query's deadline. */
  | "timeout"
  /** A status that is no success. */
  | "status"
  /** A success whose body or headers are not Consul's. */
  | "bad_answer"
  /** It has too many connections from this address. */
  | "refused"
  /** A server answered that the leader has not been in touch with for long. */
  | "outdated"
  /** The caller took the query back. */
  | "aborted";

/** `message` is one line: what, which endpoint, which address. It never has the token in it. */
export class ConsulError extends Error {
  override readonly name = "ConsulError";
  readonly code: ConsulErrorCode;
  /** The status of the answer; 0 when there is none. */
  readonly status: number;

  constructor(code: ConsulErrorCode, message: string, status = 0, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.status = status;
  }
}

/** An answer with a status that is no success, as far as it is known. */
export interface Refusal {
  readonly status: number;
  readonly statusText?: string | undefined;
  readonly body?: string | undefined;
  readonly location?: string | undefined;
  readonly contentType?: string | undefined;
  /** `/v1/kv/sluice/hosts/`, without the query. */
  readonly endpoint: string;
  readonly url: string;
}

/** What is wrong where Consul serves an address no further connection. */
export const tooManyConnections =
  "it has too many connections from this address (limits.http_max_conns_per_client)";

/** One line for an answer that is no success. */
export function describeRefusal(refusal: Refusal): string {
  const { status, endpoint, url } = refusal;
  const where = `${url}${endpoint}`;
  const isHtml = /html/i.test(refusal.contentType ?? "");
  const said = isHtml ? "" : oneLine(refusal.body ?? "");
  if (status >= 300 && status < 400)
    return `${where} answers ${status} to ${oneLine(refusal.location ?? "nowhere")}: not Consul's API`;
  if (status === 403) return `${where} answers 403: ${describeDenial(endpoint, said)}`;
  if (status === 429) {
    const isFull = /concurrent connections/i.test(said);
    const why = isFull ? tooManyConnections : "Consul is limiting the rate of queries";
    return `${where} answers 429: ${why}`;
  }
  const text = said || (isHtml ? "an HTML page, not Consul's API" : (refusal.statusText ?? ""));
  return `${where} answers ${status}${text === "" ? "" : `: ${text}`}`;
}

/** Consul 1.10 and later say what is lacking; before that, the endpoint tells. */
function describeDenial(endpoint: string, said: string): string {
  const lacks = /lacks permission '([^']+)' on "([^"]*)"/.exec(said);
  if (lacks !== null) return `the ACL token lacks ${lacks[1]} on "${lacks[2]}"`;
  if (/ACL not found/i.test(said)) return "Consul does not know the ACL token";
  return `the ACL token lacks ${permissionFor(endpoint)}${said === "" ? "" : ` (${said})`}`;
}

/** The rule that reading `endpoint` needs (Consul documentation, "ACL Rules"). */
function permissionFor(endpoint: string): string {
  const path = endpoint.replace(/^\/v1\//, "");
  const rest = (from: string) => safeDecode(path.slice(from.length));
  if (path.startsWith("kv/")) return `key_prefix "${rest("kv/")}" { policy = "read" }`;
  if (path.startsWith("health/service/"))
    return `service "${rest("health/service/")}" { policy = "read" } and node_prefix "" { policy = "read" }`;
  if (path.startsWith("catalog/")) return 'service_prefix "" { policy = "read" }';
  if (path.startsWith("agent/")) return 'agent_prefix "" and service_prefix "" (read or write)';
  return `permission for ${endpoint}`;
}

/**
 * One line for whatever a call to Consul threw: a `ConsulError`, an error of the npm client (which
 * carries the answer as `response`), or a socket's.
 */
export function describeConsulError(error: unknown): string {
  if (error instanceof ConsulError) return error.message;
  if (!(error instanceof Error)) return oneLine(String(error));
  const answer = readResponse(error);
  if (answer !== null) return describeRefusal(answer);
  if (fieldOf(error, "isTimeout") === true)
    return `Consul does not answer: ${oneLine(error.message)}`;
  return describeSocketError(error);
}

/** A socket's error with its code and address, which Node's message for several addresses leaves out. */
export function describeSocketError(error: Error): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    const each = error.errors.map((one) => (one instanceof Error ? one.message : String(one)));
    return oneLine(each.join("; "));
  }
  return oneLine(error.message || error.name);
}

function readResponse(error: Error): Refusal | null {
  const response = fieldOf(error, "response");
  const status = fieldOf(response, "statusCode");
  if (typeof status !== "number") return null;
  const headers = fieldOf(response, "headers");
  const request = fieldOf(response, "req");
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  // Unlike the request's own `host`, the field has the port.
  const named = request instanceof ClientRequest ? request.getHeader("host") : undefined;
  const host = text(named) ?? text(fieldOf(request, "host")) ?? "";
  const body = fieldOf(response, "body");
  return {
    status,
    statusText: text(fieldOf(response, "statusMessage")),
    body: Buffer.isBuffer(body) ? body.toString() : text(body),
    location: text(fieldOf(headers, "location")),
    contentType: text(fieldOf(headers, "content-type")),
    endpoint: (text(fieldOf(request, "path")) ?? "").replace(/\?.*$/s, ""),
    url: `${text(fieldOf(request, "protocol")) ?? "http:"}//${host}`,
  };
}

/** Inherited ones, too, unlike `fields.ts`: Node has getters in the place of fields. */
function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** Printable, on one line, at most 200 characters. */
export function oneLine(text: string): string {
  const flat = text.replace(/[^\x20-\x7e]+/g, " ").trim();
  return flat.length > 200 ? `${flat.slice(0, 197)}...` : flat;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
