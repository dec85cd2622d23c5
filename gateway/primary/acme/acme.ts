/**
 * Certificates that the gateways order by ACME: decides for which hosts one is due, has one gateway at a time order them,
 * and puts what it gets into Consul KV, from where every gateway serves it as it serves any other certificate.
 */
import { schedule } from "node-cron";
import type { HeldLock } from "../../../consul/index.ts";
import type { AcmeMaterials } from "../../acme-materials.ts";
import {
  DocumentError,
  formatChallenge,
  parseCertificate,
  parseOrderName,
} from "../../documents/index.ts";
import { kinds, type Observed, type Served, type Tables } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import { registeredGateways } from "../../registered-gateways.ts";
import type { Kv } from "../../releases/index.ts";
import { seal } from "../../sealing.ts";
import type { HostCertificate } from "../certificates/book.ts";
import { inspect } from "../certificates/inspect.ts";
import type { Clock } from "../clock.ts";
import type { Finding } from "../without-effect.ts";
import { AccountStore } from "./account.ts";
import { orderCertificate } from "./authority.ts";
import { AcmeFailure, oneLine, orphanMs, pauseMs, renewalMs } from "./failure.ts";
import { formatHostRecord, type HostRecord, readHostRecord } from "./host-record.ts";

export interface AcmeOptions {
  readonly materials: AcmeMaterials;
  /** This gateway's name. */
  readonly name: string;
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  /** `null`: keys are written in clear. */
  readonly sealingKey: Buffer | null;
  readonly kv: Kv;
  readonly lock: (key: string, value: string) => { acquire(): Promise<HeldLock | null> };
  readonly tables: () => Pick<Tables, "host">;
  /** What is served for hosts, whoever brought it. */
  readonly certificates: () => readonly HostCertificate[];
  /** Protocols of the listeners here. */
  readonly protocols: readonly string[];
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** What `/status` shows of one host. */
export interface AcmeHostStatus {
  readonly host: string;
  /**
   * `covered`: another certificate is served for it, so that none is ordered. `kept`: the key in KV has a certificate that
   * no gateway ordered.
   */
  readonly state: "due" | "ordering" | "issued" | "failed" | "covered" | "kept";
  /** Where its certificate is; `null`: there is none. */
  readonly certificate: string | null;
  /** ISO 8601. */
  readonly expires: string | null;
  /** When it is ordered, or replaced. */
  readonly next: string | null;
  /** In a row. */
  readonly failures: number;
  readonly error: string | null;
}

export interface AcmeStatus {
  readonly directory: string;
  readonly challenge: string;
  /** Why nothing can be ordered at all; `null`: nothing is wrong. */
  readonly problem: string | null;
  readonly hosts: readonly AcmeHostStatus[];
}

/** How often a gateway looks for what is due, give or take the delay, so that they do not all come at once. */
const lookPattern = "*/5 * * * * *";
const mostDelayMs = 2_000;
/** How long an order waits for the other gateways to have the challenge. */
const spreadMs = 10_000;
const spreadLookMs = 100;
const longestOrderMs = 180_000;
const dayMs = 86_400_000;
/** A certificate that was issued and is gone again is not ordered once more before this. */
const removedMs = 600_000;

interface Found {
  readonly record: HostRecord | null;
  readonly modifyIndex: number;
}
const nothing: Found = { record: null, modifyIndex: 0 };

export class Acme {
  readonly #options: AcmeOptions;
  readonly #accounts: AccountStore;
  readonly #stopping = new AbortController();
  #records: ReadonlyMap<string, Found> = new Map();
  /** Hosts whose key in KV has somebody else's certificate. */
  readonly #kept = new Set<string>();
  #problem: string | null = null;
  #task: ReturnType<typeof schedule> | null = null;
  #looking: Promise<void> | null = null;
  #isAskedAgain = false;

  constructor(options: AcmeOptions) {
    this.#options = options;
    const { kv, prefix, materials, sealingKey } = options;
    this.#accounts = new AccountStore(kv, prefix, materials.settings.directory, sealingKey);
  }

  /** Call it when it is known what Consul has. */
  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#task = schedule(lookPattern, () => this.#soon(), {
      name: "acme",
      maxRandomDelay: mostDelayMs,
      suppressMissedWarning: true,
    });
    void this.#soon();
  }

  /** What is served from now on: documents among it may name hosts. */
  changed(changes: readonly (Served | Observed)[]): void {
    if (this.#task === null) return;
    if (changes.some(({ kind }) => kind === "host" || kind === "certificate")) void this.#soon();
  }

  /** Gives up what is under way; resolves when the lock is let go of. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the gateway stops"));
    await this.#task?.destroy();
    await this.#looking;
  }

  status(): AcmeStatus {
    const { directory, challenge } = this.#options.materials.settings;
    const hosts = [...this.#wanted()].sort().map((host) => this.#statusOf(host));
    return { directory, challenge, problem: this.#problem, hosts };
  }

  warnings(): readonly Finding[] {
    const { prefix, protocols, materials, tables } = this.#options;
    const { challenge } = materials.settings;
    const findings: Finding[] = [];
    const needed = challenge === "http-01" ? "http" : "https";
    if (!protocols.includes(needed)) {
      const warning = `${challenge} has no effect here: the gateway has no listener for ${needed} that an authority could ask`;
      findings.push({ key: "--acme-challenge", warning });
    }
    for (const [key, { ordersCertificate }] of tables().host)
      if (ordersCertificate && parseOrderName(key) === null)
        findings.push({
          key: `${prefix}${kinds.host.folder}${key}`,
          warning: `certificate: the document is for the service ${key}, which is no host that an authority knows; name its hosts in --acme-hosts`,
        });
    if (this.#problem !== null)
      findings.push({
        key: `${prefix}acme/`,
        warning: `no certificate is ordered: ${this.#problem}`,
      });
    for (const host of this.#wanted()) {
      const { state, error, next } = this.#statusOf(host);
      const key = this.#recordKey(host);
      if (state === "failed")
        findings.push({ key, warning: `no certificate was issued: ${error}; next try at ${next}` });
      if (state === "kept")
        findings.push({
          key: this.#certificateKey(host),
          warning: "no gateway ordered this certificate, so that none replaces it",
        });
    }
    return findings;
  }

  #wanted(): ReadonlySet<string> {
    const { materials, tables } = this.#options;
    const hosts = new Set(materials.settings.hosts);
    for (const [key, { ordersCertificate }] of tables().host) {
      const host = ordersCertificate ? parseOrderName(key) : null;
      if (host !== null) hosts.add(host);
    }
    return hosts;
  }

  #statusOf(host: string): AcmeHostStatus {
    const { record } = this.#records.get(host) ?? nothing;
    const other = this.#coverOf(host);
    const own = this.#ownOf(host);
    const served = other ?? own;
    const state = this.#kept.has(host)
      ? "kept"
      : other !== null
        ? "covered"
        : (record?.state ?? "due");
    const hasNext = record !== null && state !== "covered" && state !== "kept";
    return {
      host,
      state,
      certificate: served?.place ?? null,
      expires: served === null ? null : dateOf(served.notAfter),
      next: hasNext ? dateOf(record.nextMs) : null,
      failures: record?.failures ?? 0,
      error: record?.error ?? null,
    };
  }

  /** A certificate for the host that an operator brought, and that lasts. */
  #coverOf(host: string): HostCertificate | null {
    const wildcard = `*${host.slice(host.indexOf("."))}`;
    const lastsUntil = this.#options.clock.now() + dayMs;
    const isCover = ({ names, isFromAcme, notAfter }: HostCertificate) =>
      !isFromAcme && notAfter > lastsUntil && (names.includes(host) || names.includes(wildcard));
    return this.#options.certificates().find(isCover) ?? null;
  }

  #ownOf(host: string): HostCertificate | null {
    const place = this.#certificateKey(host);
    return this.#options.certificates().find((one) => one.place === place) ?? null;
  }

  #recordKey(host: string): string {
    return `${this.#options.prefix}acme/hosts/${host}`;
  }

  #certificateKey(host: string): string {
    return `${this.#options.prefix}${kinds.certificate.folder}${certificateName(host)}`;
  }

  /** Looks now, or once more when the present look is over. */
  #soon(): Promise<void> {
    if (this.#looking !== null) {
      this.#isAskedAgain = true;
      return this.#looking;
    }
    this.#looking = this.#lookAll().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #lookAll(): Promise<void> {
    do {
      this.#isAskedAgain = false;
      let problem: string | null = null;
      try {
        await this.#look();
      } catch (error) {
        problem = oneLine(error instanceof Error ? error.message : String(error));
      }
      if (this.#stopping.signal.aborted) return;
      if (problem !== this.#problem && problem !== null)
        this.#options.log.warn({ reason: problem }, `no certificate is ordered: ${problem}`);
      this.#problem = problem;
      this.#options.onChange();
    } while (this.#isAskedAgain);
  }

  async #look(): Promise<void> {
    const { lock, prefix, name, clock } = this.#options;
    const wanted = this.#wanted();
    if (wanted.size === 0) {
      this.#records = new Map();
      return;
    }
    await this.#readRecords();
    const dueSince = (host: string) => this.#records.get(host)?.record?.nextMs ?? 0;
    const due = [...wanted]
      .filter((host) => this.#isDue(host, this.#records.get(host)?.record ?? null))
      .sort((a, b) => dueSince(a) - dueSince(b));
    if (due.length === 0 || this.#stopping.signal.aborted) return;
    const held = await lock(`${prefix}acme/lock`, name).acquire();
    if (held === null) return;
    try {
      for (const host of due) {
        if (held.signal.aborted || this.#stopping.signal.aborted) return;
        const late = new AbortController();
        const cancel = clock.after(longestOrderMs, () =>
          late.abort(new Error("the authority did not finish the order in time")),
        );
        const signals = [held.signal, this.#stopping.signal, late.signal];
        await this.#order(host, held, AbortSignal.any(signals)).finally(cancel);
        await this.#readRecords();
        this.#options.onChange();
      }
    } finally {
      await held.release();
    }
  }

  async #readRecords(): Promise<void> {
    const { kv, prefix } = this.#options;
    const folder = `${prefix}acme/hosts/`;
    const records = new Map<string, Found>();
    for (const { key, text, modifyIndex } of await kv.list(folder))
      records.set(key.slice(folder.length), { record: readHostRecord(key, text), modifyIndex });
    this.#records = records;
  }

  #isDue(host: string, record: HostRecord | null): boolean {
    if (this.#kept.has(host) && this.#ownOf(host)?.isFromAcme === false) return false;
    this.#kept.delete(host);
    if (this.#coverOf(host) !== null) return false;
    const now = this.#options.clock.now();
    if (record === null || record.nextMs <= now) return true;
    const isGone = record.state === "issued" && this.#ownOf(host) === null;
    return isGone && record.startedMs + removedMs <= now;
  }

  /** Orders a certificate if it is still due, as Consul now says. Rejects only when Consul fails. */
  async #order(host: string, held: HeldLock, signal: AbortSignal): Promise<void> {
    const { kv, clock, materials, name, random, log } = this.#options;
    const { directory } = materials.settings;
    const key = this.#recordKey(host);
    const before = await this.#found(key);
    if (!this.#isDue(host, before.record)) return;
    const present = await kv.get(this.#certificateKey(host));
    if (present !== null && !isFromAcme(this.#certificateKey(host), present.text)) {
      this.#kept.add(host);
      return;
    }
    const startedMs = clock.now();
    const failures = (before.record?.failures ?? 0) + 1;
    const begun: HostRecord = {
      ...{ directory, state: "ordering", by: name, startedMs, failures },
      nextMs: startedMs + orphanMs(failures),
      error: before.record?.error ?? null,
    };
    if (!(await kv.put(key, formatHostRecord(begun), { cas: before.modifyIndex }))) return;
    const { modifyIndex } = await this.#found(key);
    await this.#readRecords();
    log.info({ host, directory }, `ordering a certificate for ${host}`);
    try {
      const certificate = await this.#issue(host, held, signal);
      const nowMs = clock.now();
      const { notBefore, notAfter } = certificate;
      const fromMs = Math.max(notBefore, Math.min(nowMs, notAfter));
      const done: HostRecord = {
        ...{ directory, state: "issued", by: name, startedMs, failures: 0, error: null },
        nextMs: renewalMs(fromMs, notAfter, random()),
      };
      const writes = [
        { key: this.#certificateKey(host), text: certificate.text, cas: present?.modifyIndex ?? 0 },
        { key, text: formatHostRecord(done), cas: modifyIndex },
      ];
      if (!(await kv.transact(writes)))
        throw new Error("somebody else wrote to its keys in Consul meanwhile");
      log.info({ host, expires: dateOf(notAfter) }, `there is a new certificate for ${host}`);
    } catch (error) {
      if (held.signal.aborted) {
        log.warn({ host }, `the order for ${host} was given up: the lock in Consul is lost`);
        return;
      }
      const isStopped = this.#stopping.signal.aborted;
      const problem =
        error instanceof AcmeFailure ? error.problem : { type: "", detail: "", retryAfterMs: 0 };
      const nowMs = clock.now();
      const reason = oneLine(error instanceof Error ? error.message : String(error));
      const failed: HostRecord = {
        ...begun,
        state: "failed",
        // An order that was not finished because the gateway stops is the next gateway's.
        failures: isStopped ? failures - 1 : failures,
        nextMs: isStopped ? nowMs : nowMs + pauseMs(failures, problem, random()),
        error: reason,
      };
      await kv.put(key, formatHostRecord(failed), { cas: modifyIndex });
      const next = dateOf(failed.nextMs);
      log.warn(
        { host, next, reason },
        `no certificate for ${host}: ${reason}; next try at ${next}`,
      );
    }
  }

  async #issue(
    host: string,
    held: HeldLock,
    signal: AbortSignal,
  ): Promise<{ readonly text: string; readonly notBefore: number; readonly notAfter: number }> {
    const { materials, prefix, kv, clock, sealingKey } = this.#options;
    const account = await this.#accounts.find();
    const challengeKey = (token: string) => `${prefix}${kinds.challenge.folder}${token}`;
    const order = orderCertificate({
      ...{ materials, host, account, signal, now: () => clock.now() },
      onAccount: (url) => this.#accounts.name(account, url),
      publish: async (token, challenge) => {
        await held.put(challengeKey(token), formatChallenge(challenge));
        await this.#spread(token, signal);
      },
      withdraw: (token) => kv.remove(challengeKey(token)),
    });
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const { chain, key } = await Promise.race([order, aborted.promise])
      .catch(async (error: unknown) => {
        const isUnknown =
          error instanceof AcmeFailure && error.problem.type === "accountDoesNotExist";
        if (isUnknown) await this.#accounts.name(account, null);
        throw error;
      })
      .finally(() => signal.removeEventListener("abort", onAbort));
    const name = certificateName(host);
    const written = { chain, key, sealedKey: null, facts: null };
    const outcome = inspect(written, name, null, clock.now());
    if ("problem" in outcome) throw new Error(`what the authority issued: ${outcome.problem}`);
    const { facts } = outcome.certificate;
    if (facts === null || !facts.names.includes(host))
      throw new Error("what the authority issued is for another host");
    const secret = sealingKey === null ? { key } : { sealed_key: seal(sealingKey, name, key) };
    const text = JSON.stringify({ chain, ...secret, acme: true }, null, 2);
    return { text, notBefore: facts.notBefore, notAfter: facts.notAfter };
  }

  /** Resolves when every gateway can answer, or when it would take too long to wait for one. */
  async #spread(token: string, signal: AbortSignal): Promise<void> {
    const { kv, prefix, clock, log } = this.#options;
    const untilMs = clock.ticks() + spreadMs;
    for (;;) {
      const { gateways } = await registeredGateways(kv, `${prefix}gateways/`);
      const late = gateways.filter(({ applied }) => !applied?.challenges.includes(token));
      if (gateways.length > 0 && late.length === 0) return;
      if (clock.ticks() >= untilMs) {
        const names = late.map(({ name }) => name).join(", ");
        log.warn(
          { gateways: names },
          "not every gateway has said that it can answer the authority",
        );
        return;
      }
      signal.throwIfAborted();
      await new Promise<void>((resolve) => void clock.after(spreadLookMs, resolve));
    }
  }

  async #found(key: string): Promise<Found> {
    const entry = await this.#options.kv.get(key);
    if (entry === null) return nothing;
    return { record: readHostRecord(key, entry.text), modifyIndex: entry.modifyIndex };
  }
}

/** Below `certificates/`. */
function certificateName(host: string): string {
  return `acme-${host}`;
}

function isFromAcme(key: string, text: string): boolean {
  try {
    return parseCertificate(key, text).isFromAcme === true;
  } catch (error) {
    // Whatever it is, no gateway wrote it.
    if (error instanceof DocumentError) return false;
    throw error;
  }
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
