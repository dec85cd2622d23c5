/**
 * One order at an ACME authority (RFC 8555), by the library acme-client. It is loaded with the first order, since most
 * gateways never order one. Knows nothing of Consul: whoever orders says how a challenge gets to where it is asked for.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { generateKeyPairSync } from "node:crypto";
import { Agent } from "node:https";
import type { AcmeMaterials } from "../../acme-materials.ts";
import type { Challenge } from "../../model/index.ts";
import { readVersion } from "../../version.ts";
import type { Account } from "./account.ts";
import { AcmeFailure, type AcmeProblem, oneLine, problemIn } from "./failure.ts";

export interface OrderOptions {
  readonly materials: AcmeMaterials;
  readonly host: string;
  readonly account: Account;
  /** What the authority calls the account, if that is new. */
  readonly onAccount: (url: string) => Promise<void>;
  /** Resolves when the authority may ask. */
  readonly publish: (token: string, challenge: Challenge) => Promise<void>;
  readonly withdraw: (token: string) => Promise<void>;
  readonly now: () => number;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** PEM. */
export interface IssuedPair {
  readonly chain: string;
  readonly key: string;
}

type Library = typeof import("acme-client");
type Listening = Library["axios"]["interceptors"]["response"]["use"];
type AxiosAnswer = Parameters<NonNullable<Parameters<Listening>[0]>>[0];

const requestTimeoutMs = 15_000;
/** Of an answer; a chain has some kilobytes. */
const maxAnswerBytes = 1024 * 1024;
const token = /^[A-Za-z0-9_-]{16,256}$/;
/** How often the authority is asked whether it is done: for some two minutes. */
const asking = { backoffAttempts: 30, backoffMin: 250, backoffMax: 5_000 };

/** An order that is under way. */
interface UnderWay {
  readonly options: OrderOptions;
  readonly agent: Agent;
  /** In the authority's last answer; `null`: there was none. */
  problem: AcmeProblem | null;
}

/**
 * Whose order a request of the library is. An order that was given up may still wait in the library, which knows no
 * signal there, while the next one runs.
 */
const orders = new AsyncLocalStorage<UnderWay>();
let loading: Promise<Library> | null = null;

/** Rejects with an `AcmeFailure`, and as soon as the signal says so. */
export async function orderCertificate(options: OrderOptions): Promise<IssuedPair> {
  const { materials, signal } = options;
  loading ??= loadLibrary();
  const library = await loading;
  const agent = new Agent(materials.ca === null ? {} : { ca: materials.ca });
  const order: UnderWay = { options, agent, problem: null };
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([
      orders.run(order, () => ordered(library, options)),
      aborted.promise,
    ]);
  } catch (error) {
    if (error instanceof AcmeFailure) throw error;
    const detail = oneLine(reasonOf(error));
    const { problem } = order;
    throw new AcmeFailure(
      signal.aborted || problem === null ? { type: "", detail, retryAfterMs: 0 } : problem,
    );
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function loadLibrary(): Promise<Library> {
  const library = await import("acme-client");
  const { defaults, interceptors } = library.axios;
  Object.assign(defaults, { timeout: requestTimeoutMs, maxContentLength: maxAnswerBytes });
  defaults.headers.common["User-Agent"] = `sluice/${readVersion().version}`;
  interceptors.request.use((config) => {
    const order = orders.getStore();
    return order === undefined
      ? config
      : Object.assign(config, { signal: order.options.signal, httpsAgent: order.agent });
  });
  const note = (response: AxiosAnswer) => {
    const { status, data, headers } = response;
    const order = orders.getStore();
    if (order !== undefined)
      order.problem = problemIn(status, data, headers["retry-after"], order.options.now());
    return response;
  };
  // The library's own interceptor repeats requests by itself, where the gateway decides when, as an operator can see;
  // and it hides why a connection failed.
  interceptors.response.clear();
  interceptors.response.use(note, (error: { readonly response?: AxiosAnswer }) => {
    // Any answer is one: the library reads its status.
    if (error.response !== undefined) return note(error.response);
    throw error;
  });
  return library;
}

async function ordered(library: Library, options: OrderOptions): Promise<IssuedPair> {
  const { materials, host, account, onAccount, signal } = options;
  const { settings, externalAccount } = materials;
  const client = new library.Client({
    directoryUrl: settings.directory,
    accountKey: account.key,
    ...(account.url === null ? {} : { accountUrl: account.url }),
    ...(externalAccount === null ? {} : { externalAccountBinding: externalAccount }),
    ...asking,
  });
  if (account.url === null) {
    await client.createAccount({
      termsOfServiceAgreed: settings.agreesToTerms,
      ...(settings.email === null ? {} : { contact: [`mailto:${settings.email}`] }),
    });
    await onAccount(client.getAccountUrl());
  }
  const order = await client.createOrder({ identifiers: [{ type: "dns", value: host }] });
  // The library looks at nothing, and asks for all of them at once.
  const asked: unknown = order.authorizations;
  if (!Array.isArray(asked)) throw failure("the authority's answer to the order is malformed");
  if (asked.length !== 1)
    throw failure(`the authority wants ${asked.length} authorizations for one host`);
  for (const authorization of await client.getAuthorizations(order)) {
    // An authority may remember that the host is this account's.
    if (authorization.status === "valid") continue;
    await answer(library, client, authorization, options);
    signal.throwIfAborted();
  }
  const key = newKey();
  const [, request] = await library.crypto.createCsr({ altNames: [host] }, key);
  signal.throwIfAborted();
  const finished = await client.finalizeOrder(order, request);
  return { chain: await client.getCertificate(finished), key };
}

async function answer(
  library: Library,
  client: InstanceType<Library["Client"]>,
  authorization: Awaited<ReturnType<typeof client.getAuthorizations>>[number],
  { materials, host, publish, withdraw, signal }: OrderOptions,
): Promise<void> {
  const wanted = materials.settings.challenge;
  if (!Array.isArray(authorization.challenges))
    throw failure("the authority's authorization is malformed");
  const challenge = authorization.challenges.find(({ type }) => type === wanted);
  if (challenge === undefined) {
    const offered = authorization.challenges.map(({ type }) => type).join(", ");
    throw failure(`the authority offers ${offered || "no challenge"} for this host, not ${wanted}`);
  }
  const asked: string = challenge.token;
  if (!token.test(asked)) throw failure("the authority's token is malformed");
  const keyAuthorization = await client.getChallengeKeyAuthorization(challenge);
  await publish(
    asked,
    await shown(library, materials, authorization, host, asked, keyAuthorization),
  );
  try {
    signal.throwIfAborted();
    await client.completeChallenge(challenge);
    await client.waitForValidStatus(challenge);
  } finally {
    await withdraw(asked);
  }
}

/** What the gateways answer with. */
async function shown(
  library: Library,
  { settings }: AcmeMaterials,
  authorization: Parameters<Library["crypto"]["createAlpnCertificate"]>[0],
  host: string,
  asked: string,
  given: string,
): Promise<Challenge> {
  if (settings.challenge === "http-01") {
    // The library gives the whole key authorization for HTTP-01 and TLS-ALPN-01, and a digest for DNS-01 alone.
    if (!given.startsWith(`${asked}.`)) throw failure("the key authorization is malformed");
    return { type: "http-01", host, keyAuthorization: given };
  }
  const key = newKey();
  const [, chain] = await library.crypto.createAlpnCertificate(authorization, given, key);
  return { type: "tls-alpn-01", host, chain: chain.toString(), key };
}

/** P-256, which every client takes and no authority refuses. */
function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function failure(detail: string): AcmeFailure {
  return new AcmeFailure({ type: "", detail, retryAfterMs: 0 });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Of a connection that failed at several addresses the error itself says nothing.
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return error.message || code || error.name;
}
