/** Asks a gateway's admin API for its status. */
import { once } from "node:events";
import http from "node:http";
import { text as readText } from "node:stream/consumers";
import { type Address, formatAddress } from "../settings-values.ts";
import { CommandError } from "./command-error.ts";

const timeoutMs = 5000;

/** The JSON of `/status` as text. Throws a `CommandError` when no gateway answers there. */
export async function askStatus(admin: Address): Promise<string> {
  // An address that stands for all of them is no address to connect to.
  const any: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  const { port } = admin;
  const host = any[admin.host] ?? admin.host;
  const url = `http://${formatAddress({ host, port })}/status`;
  const { status, type, body } = await get(host, port).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`no gateway answers at ${url}: ${reason}`);
  });
  if (status !== 200 || !type.startsWith("application/json")) {
    throw new CommandError(`${url} answers ${status} and is no gateway's status`);
  }
  return body;
}

/** `fetch` refuses some ports that an operator may well have chosen; this does not. */
async function get(host: string, port: number) {
  const signal = AbortSignal.timeout(timeoutMs);
  const request = http.get({ host, port, path: "/status", agent: false, signal });
  const [response]: http.IncomingMessage[] = await once(request, "response");
  if (response === undefined) throw new Error("no answer");
  const body = await readText(response);
  return {
    status: response.statusCode ?? 0,
    type: response.headers["content-type"] ?? "",
    body,
  };
}
