/**
 * One look at a service, as a check does it: an HTTP request or a TCP connect, to addresses that it may reach.
 * Keeps nothing open.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { CheckReach } from "./check-reach.ts";
import type { CheckDefinition, Status } from "./records.ts";

export interface Outcome {
  readonly status: Status;
  readonly output: string;
}

/** How much of an answer a check keeps, as Consul's `check_output_max_size`. */
export const longestOutput = 4096;

/**
 * 2xx passes, 429 warns, everything else is critical (Consul documentation, "Checks"), a redirect as well:
 * whoever answers must not choose where the agent goes next. Never rejects.
 */
export async function probeHttp(
  check: CheckDefinition,
  reach: CheckReach,
  timeoutMs: number,
  stop: AbortSignal,
): Promise<Outcome> {
  const method = check.method || "GET";
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([stop, timeout]);
  try {
    const { message, body } = await send(new URL(check.http), method, check, reach, signal);
    const code = message.statusCode ?? 0;
    const status = code >= 200 && code < 300 ? "passing" : code === 429 ? "warning" : "critical";
    const line = `${code} ${message.statusMessage ?? ""}`.trim();
    const isRedirect = code >= 300 && code < 400 && message.headers.location !== undefined;
    const note = isRedirect ? " (redirects are not followed)" : "";
    return { status, output: `HTTP ${method} ${check.http}: ${line}${note} Output: ${body}` };
  } catch (error) {
    const reason = timeout.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error);
    return { status: "critical", output: `${method} ${check.http}: ${reason}` };
  }
}

/** Passes when the connection stands. Never rejects. */
export function probeTcp(
  check: CheckDefinition,
  reach: CheckReach,
  timeoutMs: number,
  stop: AbortSignal,
): Promise<Outcome> {
  const at = check.tcp.lastIndexOf(":");
  const host = check.tcp.slice(0, at).replace(/^\[|\]$/g, "");
  const port = Number(check.tcp.slice(at + 1));
  if (at < 0 || !Number.isInteger(port) || port < 0 || port > 65_535) {
    return Promise.resolve({
      status: "critical",
      output: `dial tcp ${check.tcp}: no such address`,
    });
  }
  const refusal = reach.refusalOf(host);
  if (refusal !== null) {
    return Promise.resolve({ status: "critical", output: `dial tcp ${check.tcp}: ${refusal}` });
  }
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal: stop, lookup: reach.lookup });
    const end = (status: Status, output: string) => {
      socket.destroy();
      resolve({ status, output });
    };
    socket.setTimeout(timeoutMs);
    socket.on("connect", () => end("passing", `TCP connect ${check.tcp}: Success`));
    socket.on("timeout", () =>
      end("critical", `dial tcp ${check.tcp}: no connection within ${timeoutMs} ms`),
    );
    socket.on("error", (error) => end("critical", `dial tcp ${check.tcp}: ${reasonOf(error)}`));
  });
}

async function send(
  url: URL,
  method: string,
  check: CheckDefinition,
  reach: CheckReach,
  signal: AbortSignal,
): Promise<{ message: IncomingMessage; body: string }> {
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new Error(`unsupported protocol "${url.protocol}"`);
  }
  const refusal = reach.refusalOf(url.hostname.replace(/^\[|\]$/g, ""));
  if (refusal !== null) throw new Error(refusal);
  const options = {
    method,
    signal,
    agent: false as const,
    lookup: reach.lookup,
    headers: {
      "User-Agent": "Consul Health Check",
      Accept: "text/plain, text/*, */*",
      ...check.header,
    },
  };
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { ...options, rejectUnauthorized: !check.tlsSkipVerify })
        : httpRequest(url, options);
    request.on("error", reject);
    request.on("response", (message) => {
      let body = "";
      message.setEncoding("utf8");
      message.on("data", (chunk: string) => {
        body = (body + chunk).slice(0, longestOutput);
      });
      message.on("end", () => resolve({ message, body }));
      message.on("error", reject);
    });
    request.end(check.body);
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
