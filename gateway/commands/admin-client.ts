/**
 * Asks gateways' admin APIs for a command, and decides which addresses get the token: the one that the operator
 * named, and of those that only Consul names the ones that the operator listed. Whoever can write a key in
 * Consul must not get the token.
 */
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { findToken, givenToken, tokenPlaces } from "../admin-token.ts";
import { HostList, isLoopback } from "../foreign-requests.ts";
import type { Settings } from "../settings.ts";
import { clientVariables } from "../settings-admin.ts";
import { type Address, formatAddress } from "../settings-values.ts";
import { readPem } from "./admin-access.ts";
import { CommandError } from "./command-error.ts";

const timeoutMs = 5000;
/** A status of 100,000 services stays below this. The bound is needed because anybody may answer. */
const maxAnswerBytes = 64 * 1024 ** 2;

type Environment = Readonly<Record<string, string | undefined>>;

/** How a command's connections to admin APIs are secured. */
interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface AdminAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Question {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly isTls: boolean;
  readonly token: string | null;
  readonly body?: string;
  /** Who asks, for the history. */
  readonly by?: string | null;
}

export class AdminClient {
  readonly #settings: Settings;
  readonly #env: Environment;
  readonly #given: string | null;
  readonly #tls: ClientTls;
  readonly #hosts: HostList;

  private constructor(settings: Settings, env: Environment, given: string | null, tls: ClientTls) {
    this.#settings = settings;
    this.#env = env;
    this.#given = given;
    this.#tls = tls;
    this.#hosts = new HostList(settings.adminAccess.hosts);
  }

  /** Throws a `SettingsError` for a token or a certificate that cannot be used. */
  static async create(settings: Settings, env: Environment): Promise<AdminClient> {
    const pem = async (variable: string) => {
      const path = env[variable] || null;
      return path === null ? null : readPem(variable, path);
    };
    const ca = await pem(clientVariables.ca);
    const cert = await pem(clientVariables.cert);
    const key = await pem(clientVariables.key);
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    return new AdminClient(settings, env, await givenToken(settings.adminAccess), tls);
  }

  /** The JSON of `/status` of the gateway that the operator named. Throws a `CommandError`. */
  status(): Promise<string> {
    const { admin } = this.#settings;
    const explain = (url: string, sent: string | null) => this.#unauthorized(url, sent);
    return this.#statusAt(admin, this.#isTls, () => this.#ownToken(), explain);
  }

  /** The same of a gateway that only Consul names. */
  statusOf(admin: Address, isTls: boolean): Promise<string> {
    const isListed = this.#hosts.has(admin.host);
    return this.#statusAt(admin, isTls, async () => (isListed ? this.#given : null)).catch(
      (error: unknown) => {
        const isHeldBack = error instanceof Unauthorized && this.#given !== null && !isListed;
        if (!isHeldBack) throw error;
        throw new CommandError(
          `${error.message}; it is not shown to ${admin.host}, which only Consul names: list it in --admin-hosts`,
        );
      },
    );
  }

  /** What the gateway that the operator named answers to a read. Throws a `CommandError` when none answers. */
  read(path: string): Promise<AdminAnswer> {
    const { admin } = this.#settings;
    const explain = (url: string, sent: string | null) => this.#unauthorized(url, sent);
    return this.#readAt(admin, this.#isTls, path, () => this.#ownToken(), explain);
  }

  /** A write to the gateway that the operator named. Throws a `CommandError` when none answers. */
  async write(
    method: "POST",
    path: string,
    { body = "", by = null }: { readonly body?: string; readonly by?: string | null } = {},
  ): Promise<AdminAnswer> {
    const { admin } = this.#settings;
    const token = await this.#ownToken();
    const question = { method, path, body, by, isTls: this.#isTls, token };
    const answer = await ask(admin, question, this.#tls);
    if (answer.status === 401) throw this.#unauthorized(urlOf(admin, path, this.#isTls), token);
    return answer;
  }

  get #isTls(): boolean {
    return this.#tls.ca !== undefined || this.#settings.adminAccess.cert !== null;
  }

  async #ownToken(): Promise<string | null> {
    return this.#given ?? (await findToken(this.#places));
  }

  /** A token that a gateway made is for this machine alone. */
  get #places(): readonly string[] {
    const { host, port } = reachable(this.#settings.admin);
    if (host !== "localhost" && !isLoopback(host)) return [];
    return tokenPlaces(port, this.#settings.dataDir, this.#env);
  }

  /** The token that was sent: none, the operator's, or one that was found. */
  #unauthorized(url: string, sent: string | null): Unauthorized {
    const give = "give it with --admin-token-file or SLUICE_ADMIN_TOKEN";
    const refused = `${url} answers 401: `;
    if (sent !== null) {
      const origin = this.#given === null ? `found in ${this.#places.join(" or ")}` : "given";
      return new Unauthorized(
        `${refused}the token that was ${origin} is not this gateway's; ${give}`,
      );
    }
    const places = this.#places.join(" or ");
    const looked =
      places === ""
        ? "only a gateway on this machine leaves its token for commands"
        : `this user finds none in ${places}; run the command as the gateway's user`;
    return new Unauthorized(`${refused}it needs the gateway's token, and ${looked}, or ${give}`);
  }

  async #statusAt(
    admin: Address,
    isTls: boolean,
    findOwn: () => Promise<string | null>,
    explain = (refused: string, _sent: string | null) =>
      new Unauthorized(`${refused} answers 401: it needs the gateway's token`),
  ): Promise<string> {
    const { status, type, body } = await this.#readAt(admin, isTls, "/status", findOwn, explain);
    if (status !== 200 || !type.startsWith("application/json")) {
      const url = urlOf(admin, "/status", isTls);
      throw new CommandError(`${url} answers ${status} and is no gateway's status`);
    }
    return body;
  }

  async #readAt(
    admin: Address,
    isTls: boolean,
    path: string,
    findOwn: () => Promise<string | null>,
    explain: (url: string, sent: string | null) => Unauthorized,
  ): Promise<AdminAnswer> {
    const question = { method: "GET", path, isTls } as const;
    // First without the token: on loopback reads are open.
    const open = await ask(admin, { ...question, token: null }, this.#tls);
    const token = open.status === 401 ? await findOwn() : null;
    const answer = token === null ? open : await ask(admin, { ...question, token }, this.#tls);
    if (answer.status === 401) throw explain(urlOf(admin, path, isTls), token);
    return answer;
  }
}

class Unauthorized extends CommandError {}

/** An address that stands for all of them is no address to connect to. */
function reachable({ host, port }: Address): Address {
  const any: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  return { host: any[host] ?? host, port };
}

function urlOf(admin: Address, path: string, isTls: boolean): string {
  return `${isTls ? "https" : "http"}://${formatAddress(reachable(admin))}${path}`;
}

/** `fetch` refuses some ports that an operator may well have chosen; this does not. */
async function ask(admin: Address, question: Question, tls: ClientTls): Promise<AdminAnswer> {
  const { method, path, isTls, token, body: sent = "", by = null } = question;
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    // A header has no room for other characters.
    ...(by === null ? {} : { "sluice-by": by.replace(/[^\x20-\x7e]/g, "?") }),
  };
  const signal = AbortSignal.timeout(timeoutMs);
  const options = { ...reachable(admin), method, path, headers, agent: false as const, signal };
  try {
    const request = isTls ? https.request({ ...options, ...tls }) : http.request(options);
    request.end(sent);
    const [response]: http.IncomingMessage[] = await once(request, "response");
    if (response === undefined) throw new Error("no answer");
    const body = await readBounded(response);
    return { status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`no gateway answers at ${urlOf(admin, path, isTls)}: ${reason}`);
  }
}

async function readBounded(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Leaving the loop closes the connection.
    if (length > maxAnswerBytes) throw new Error(`its answer is above ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The JSON of an answer. `null` when it has none, so something else than a gateway answered. */
export function jsonIn(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

/** What a command says of an answer that is not the one it asked for. */
export function refusalOf(status: number, answer: unknown): CommandError {
  const why = messageOf(answer) ?? "what answers is no gateway";
  return new CommandError(`the gateway answers ${status}: ${why}`);
}

/** The message of a refusal, or the beginning of the answer where no gateway answered. */
export function messageIn(body: string): string {
  return messageOf(jsonIn(body)) ?? body.slice(0, 200);
}

function messageOf(answer: unknown): string | null {
  const isRefusal = typeof answer === "object" && answer !== null && "message" in answer;
  return isRefusal ? String(answer.message) : null;
}
