/**
 * A small ACME authority (RFC 8555): it checks signatures, nonces and external accounts, asks for challenges where it was
 * told to (HTTP-01; TLS-ALPN-01 of RFC 8737), and signs what was requested. It can also misbehave on demand.
 */
import {
  createHash,
  createHmac,
  createPublicKey,
  randomBytes,
  verify,
  type webcrypto,
} from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";
import { connect, type TLSSocket } from "node:tls";
import { TestAuthority } from "../certificates.ts";
import type { AuthorityUnderTest, Places } from "./authority.ts";
import { readRequest } from "./signing-request.ts";

/** How it treats whoever asks for an order. */
export type Temper =
  | "well"
  /** 500, with a problem document. */
  | "ill"
  /** 429 with `Retry-After` of an hour. */
  | "busy"
  /** 200 with a page of HTML. */
  | "garbled"
  /** No answer at all. */
  | "silent"
  /** A certificate for another key. */
  | "confused"
  /** A certificate for another host. */
  | "elsewhere"
  /** A certificate that is valid a minute later, as with a clock that is ahead. */
  | "early"
  /** It knows none of its own nonces. */
  | "forgetful"
  /** An answer that is far too long. */
  | "huge"
  /** One host is to be shown a thousand times. */
  | "demanding"
  /** An order that is never done. */
  | "endless";

interface AcmeAccount {
  readonly url: string;
  readonly jwk: webcrypto.JsonWebKey;
  readonly thumbprint: string;
}

interface AcmeOrder {
  readonly host: string;
  readonly token: string;
  status: "pending" | "ready" | "processing" | "valid" | "invalid";
  challenge: "pending" | "valid" | "invalid";
  error: object | null;
  certificate: string | null;
}

export interface ServerOptions {
  /** Accounts must be bound to this one. */
  readonly externalAccount?: { readonly kid: string; readonly key: Buffer };
}

const problem = (type: string, detail: string) => ({
  type: `urn:ietf:params:acme:error:${type}`,
  detail,
});

class Refused extends Error {
  readonly status: number;
  readonly body: object;

  constructor(status: number, type: string, detail: string) {
    super(detail);
    this.status = status;
    this.body = problem(type, detail);
  }
}

export class AcmeServer implements AuthorityUnderTest {
  readonly authority = new TestAuthority("ACME issuer");
  readonly #door = new TestAuthority("ACME door");
  readonly #options: ServerOptions;
  readonly #accounts = new Map<string, AcmeAccount>();
  readonly #orders: AcmeOrder[] = [];
  readonly #nonces = new Set<string>();
  /** Where a nonce was refused once, as authorities may do at any time: clients have to ask again (section 6.5). */
  readonly #refusedOnce = new Set<string>();
  readonly #server;
  temper: Temper = "well";
  /** Set while it must not look at challenges yet. */
  patience: Promise<void> | null = null;
  /** What it was asked for, in turn: the path, and when. */
  readonly asked: { readonly path: string; readonly atMs: number }[] = [];
  #places: Places = { http: 0, https: 0 };

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.#server = createServer(this.#door.issue({ names: ["localhost"] }), (asked, answer) => {
      this.#serve(asked, answer).catch((error: unknown) => {
        const [status, body] =
          error instanceof Refused
            ? [error.status, error.body]
            : [500, problem("serverInternal", String(error))];
        this.#send(answer, status, body, { "content-type": "application/problem+json" });
      });
    });
  }

  static async start(options: ServerOptions = {}): Promise<AcmeServer> {
    const server = new AcmeServer(options);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get directory(): string {
    return this.#url("/directory");
  }

  /** Of its own certificate. */
  get ca(): string {
    return this.#door.cert;
  }

  /** The hosts that were ordered for, in turn. */
  get ordered(): readonly string[] {
    return this.#orders.map(({ host }) => host);
  }

  get accounts(): number {
    return this.#accounts.size;
  }

  asksAt(places: Places): void {
    this.#places = places;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, "close");
  }

  #url(path: string): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { url = "", method } = asked;
    this.asked.push({ path: url, atMs: Date.now() });
    const [, what = "", id = ""] = url.split("/");
    if (what === "directory") {
      const meta =
        this.#options.externalAccount === undefined ? {} : { externalAccountRequired: true };
      this.#send(answer, 200, {
        newNonce: this.#url("/nonce"),
        newAccount: this.#url("/account"),
        newOrder: this.#url("/new-order"),
        meta,
      });
      return;
    }
    if (what === "nonce") {
      this.#send(answer, method === "HEAD" ? 200 : 204, {});
      return;
    }
    const { payload, account, jwk } = this.#open(await readText(asked), url);
    if (what === "account") {
      this.#newAccount(answer, payload, jwk);
      return;
    }
    if (account === null) throw new Refused(400, "malformed", "no account");
    if (what === "new-order") {
      await this.#newOrder(answer, payload);
      return;
    }
    const order = this.#orders[Number(id)];
    if (order === undefined) throw new Refused(404, "malformed", "there is no such order");
    if (what === "authorization") this.#send(answer, 200, this.#authorization(order, id));
    else if (what === "challenge") {
      if (payload !== null && order.challenge === "pending")
        void this.#validate(order, account, String(url.split("/")[3]));
      this.#send(answer, 200, this.#challenge(order, id, String(url.split("/")[3])));
    } else if (what === "finalize") {
      this.#finalize(order, payload);
      this.#send(answer, 200, this.#order(order, id));
    } else if (what === "order") this.#send(answer, 200, this.#order(order, id));
    else if (what === "certificate")
      this.#send(answer, 200, order.certificate ?? "", {
        "content-type": "application/pem-certificate-chain",
      });
    else throw new Refused(404, "malformed", "there is nothing here");
  }

  #send(
    answer: ServerResponse,
    status: number,
    body: object | string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const nonce = randomBytes(16).toString("base64url");
    this.#nonces.add(nonce);
    answer.writeHead(status, {
      "content-type": "application/json",
      "replay-nonce": nonce,
      ...headers,
    });
    answer.end(typeof body === "string" ? body : JSON.stringify(body));
  }

  /** Checks a signed request (RFC 8555 section 6.2). */
  #open(text: string, path: string) {
    const { protected: head, payload, signature } = JSON.parse(text);
    const { alg, nonce, url, kid, jwk: given } = decoded(head);
    const isKnown = this.#nonces.delete(nonce) && this.temper !== "forgetful";
    const isOutdated = path.startsWith("/finalize/") && !this.#refusedOnce.has(path);
    if (isOutdated) this.#refusedOnce.add(path);
    if (!isKnown || isOutdated) throw new Refused(400, "badNonce", "not one of mine");
    if (url !== this.#url(path)) throw new Refused(401, "unauthorized", "signed for another URL");
    const account = [...this.#accounts.values()].find((one) => one.url === kid) ?? null;
    if (kid !== undefined && account === null)
      throw new Refused(400, "accountDoesNotExist", "no such account");
    const jwk: webcrypto.JsonWebKey = account?.jwk ?? given;
    const key = createPublicKey({ key: jwk, format: "jwk" });
    const isSigned =
      alg === "ES256" &&
      verify(
        "sha256",
        Buffer.from(`${head}.${payload}`),
        { key, dsaEncoding: "ieee-p1363" },
        Buffer.from(signature, "base64url"),
      );
    if (!isSigned) throw new Refused(401, "unauthorized", "the signature is wrong");
    return { payload: payload === "" ? null : decoded(payload), account, jwk };
  }

  #newAccount(
    answer: ServerResponse,
    payload: Readonly<Record<string, unknown>> | null,
    jwk: webcrypto.JsonWebKey,
  ): void {
    const print = thumbprintOf(jwk);
    const known = this.#accounts.get(print);
    if (known === undefined && payload?.termsOfServiceAgreed !== true)
      throw new Refused(403, "userActionRequired", "agree to the terms of service");
    if (known === undefined) this.#checkExternal(payload?.externalAccountBinding, jwk);
    const url = known?.url ?? this.#url(`/account/${this.#accounts.size}`);
    this.#accounts.set(print, { url, jwk, thumbprint: print });
    this.#send(answer, known === undefined ? 201 : 200, { status: "valid" }, { location: url });
  }

  #checkExternal(given: unknown, jwk: webcrypto.JsonWebKey): void {
    const { externalAccount } = this.#options;
    if (externalAccount === undefined) return;
    const binding = given as { protected: string; payload: string; signature: string } | undefined;
    if (binding === undefined) throw new Refused(403, "externalAccountRequired", "bind it");
    const signature = createHmac("sha256", externalAccount.key)
      .update(`${binding.protected}.${binding.payload}`)
      .digest("base64url");
    const isBound =
      decoded(binding.protected).kid === externalAccount.kid &&
      thumbprintOf(decoded(binding.payload)) === thumbprintOf(jwk) &&
      signature === binding.signature;
    if (!isBound) throw new Refused(403, "unauthorized", "it is bound to no account of mine");
  }

  async #newOrder(
    answer: ServerResponse,
    payload: Readonly<Record<string, unknown>> | null,
  ): Promise<void> {
    const [{ value: host } = { value: "" }] = (payload?.identifiers ?? []) as { value: string }[];
    const id = this.#orders.length;
    this.#orders.push({
      ...{ host, token: randomBytes(24).toString("base64url"), status: "pending" },
      ...{ challenge: "pending", error: null, certificate: null },
    });
    if (this.temper === "silent") return;
    if (this.temper === "ill") throw new Refused(500, "serverInternal", "it is ill");
    if (this.temper === "garbled") {
      this.#send(answer, 200, "<html>hello</html>", { "content-type": "text/html" });
      return;
    }
    if (this.temper === "busy") {
      const body = problem("rateLimited", "too many certificates");
      this.#send(answer, 429, body, { "retry-after": "86400" });
      return;
    }
    if (this.temper === "huge") {
      this.#send(answer, 201, `{"status":"${"x".repeat(8 * 1024 * 1024)}"}`);
      return;
    }
    const order = this.#orders[id] as AcmeOrder;
    this.#send(answer, 201, this.#order(order, String(id)), {
      location: this.#url(`/order/${id}`),
    });
  }

  #order({ host, status, certificate }: AcmeOrder, id: string): object {
    return {
      ...{ status, identifiers: [{ type: "dns", value: host }] },
      authorizations: Array.from({ length: this.temper === "demanding" ? 1_000 : 1 }, () =>
        this.#url(`/authorization/${id}`),
      ),
      finalize: this.#url(`/finalize/${id}`),
      ...(certificate === null ? {} : { certificate: this.#url(`/certificate/${id}`) }),
    };
  }

  #authorization(order: AcmeOrder, id: string): object {
    const types = ["http-01", "tls-alpn-01"];
    return {
      ...{ status: order.challenge, identifier: { type: "dns", value: order.host } },
      challenges: types.map((type) => this.#challenge(order, id, type)),
    };
  }

  #challenge({ token, challenge: status, error }: AcmeOrder, id: string, type: string): object {
    const url = this.#url(`/challenge/${id}/${type}`);
    return { type, url, token, status, ...(error === null ? {} : { error }) };
  }

  async #validate(order: AcmeOrder, { thumbprint }: AcmeAccount, type: string): Promise<void> {
    const wanted = `${order.token}.${thumbprint}`;
    try {
      await this.patience;
      await (type === "http-01" ? this.#askHttp(order, wanted) : this.#askTls(order, wanted));
      order.challenge = "valid";
      order.status = "ready";
    } catch (error) {
      order.error = problem("unauthorized", error instanceof Error ? error.message : String(error));
      order.challenge = "invalid";
      order.status = "invalid";
    }
  }

  async #askHttp({ host, token }: AcmeOrder, wanted: string): Promise<void> {
    const path = `/.well-known/acme-challenge/${token}`;
    const asking = request({ host: "127.0.0.1", port: this.#places.http, path, headers: { host } });
    asking.end();
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    const body = await readText(answer);
    if (answer.statusCode !== 200 || body !== wanted)
      throw new Error(`the answer was ${answer.statusCode} ${body.slice(0, 80)}`);
  }

  async #askTls({ host }: AcmeOrder, wanted: string): Promise<void> {
    const { https: port } = this.#places;
    const socket = connect({
      ...{ host: "127.0.0.1", port, servername: host, rejectUnauthorized: false },
      ALPNProtocols: ["acme-tls/1"],
    });
    try {
      await once(socket, "secureConnect");
      await this.#readProof(socket, host, wanted);
    } finally {
      socket.destroy();
    }
  }

  /** Resolves when the gateway has closed the connection. */
  async #readProof(socket: TLSSocket, host: string, wanted: string): Promise<void> {
    const { alpnProtocol } = socket;
    const certificate = socket.getPeerX509Certificate();
    // The extension acmeIdentifier, critical, with the digest in it (RFC 8737 section 3).
    const digest = createHash("sha256").update(wanted).digest("hex");
    const extension = `06082b0601050507011f0101ff04220420${digest}`;
    if (alpnProtocol !== "acme-tls/1") throw new Error(`the protocol was ${alpnProtocol}`);
    if (certificate?.subjectAltName !== `DNS:${host}`) throw new Error("it is for another host");
    if (!certificate.raw.toString("hex").includes(extension)) throw new Error("no digest in it");
    const ended = once(socket, "close");
    socket.resume();
    await ended;
  }

  #finalize(order: AcmeOrder, payload: Readonly<Record<string, unknown>> | null): void {
    if (order.status !== "ready") throw new Refused(403, "orderNotReady", "it is not ready");
    const { names, publicKey } = readRequest(Buffer.from(String(payload?.csr), "base64url"));
    if (names.join() !== order.host) throw new Refused(400, "badCSR", "for another host");
    if (this.temper === "endless") {
      order.status = "processing";
      return;
    }
    const issued = this.temper === "elsewhere" ? ["other.example"] : names;
    const from = this.temper === "early" ? { from: Date.now() + 60_000 } : {};
    order.certificate =
      this.temper === "confused"
        ? this.authority.issue({ names }).cert
        : this.authority.certify({ names: issued, ...from }, publicKey);
    order.certificate += this.authority.cert;
    order.status = "valid";
  }
}

function decoded(part: string) {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

/** RFC 7638. */
function thumbprintOf({ crv, kty, x, y }: webcrypto.JsonWebKey): string {
  const text = JSON.stringify({ crv, kty, x, y });
  return createHash("sha256").update(text).digest("base64url");
}
