/**
 * Certificates that the gateways order by ACME: decides for which hosts one is due, has one gateway at a time order them,
 * and puts what it gets into Consul KV, from where every gateway serves it as it serves any other certificate.
 */
import { schedule } from "node-cron";
import type { HeldLock } from "../../../consul/index.ts";
import { DocumentError, formatChallenge, parseCertificate } from "../../documents/index.ts";
import { kinds, type Observed, type Served } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import { registeredGateways } from "../../registered-gateways.ts";
import type { Kv } from "../../releases/index.ts";
import { seal } from "../../sealing.ts";
import { inspect } from "../certificates/inspect.ts";
import type { Finding } from "../without-effect.ts";
import { AccountStore } from "./account.ts";
import { orderCertificate } from "./authority.ts";
import { AcmeFailure, longestPauseMs, oneLine, orphanMs, pauseMs, renewalMs } from "./failure.ts";
import { formatHostRecord, type HostRecord, readHostRecord } from "./host-record.ts";
import {
  type AcmeStatus,
  certificateName,
  dateOf,
  type Found,
  nothing,
  Standing,
  type StandingOptions,
} from "./standing.ts";

export interface AcmeOptions extends StandingOptions {
  /** This gateway's name. */
  readonly name: string;
  /** `null`: keys are written in clear. */
  readonly sealingKey: Buffer | null;
  readonly kv: Kv;
  readonly lock: (key: string, value: string) => { acquire(): Promise<HeldLock | null> };
  readonly onChange: () => void;
  readonly random: () => number;
  readonly log: Log;
}

/** How often a gateway looks for what is due, give or take the delay, so that they do not all come at once. */
const lookPattern = "*/5 * * * * *";
const mostDelayMs = 2_000;
/** How long an order waits for the other gateways to have the challenge. */
const spreadMs = 10_000;
const spreadLookMs = 100;
const longestOrderMs = 180_000;
/** By how much an authority's clock may be ahead, so that its certificate begins later than it comes. */
const skewMs = 300_000;
const never = Number.POSITIVE_INFINITY;
/** A certificate that was issued and is gone again is not ordered once more before this. */
const removedMs = 600_000;

export class Acme {
  readonly #options: AcmeOptions;
  readonly #accounts: AccountStore;
  readonly #stopping = new AbortController();
  readonly #standing: Standing;
  #task: ReturnType<typeof schedule> | null = null;
  #looking: Promise<void> | null = null;
  #isAskedAgain = false;

  constructor(options: AcmeOptions) {
    this.#options = options;
    this.#standing = new Standing(options);
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
    return this.#standing.status();
  }

  warnings(): readonly Finding[] {
    return this.#standing.warnings();
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
      if (problem !== this.#standing.problem && problem !== null)
        this.#options.log.warn({ reason: problem }, `no certificate is ordered: ${problem}`);
      this.#standing.problem = problem;
      this.#options.onChange();
    } while (this.#isAskedAgain);
  }

  async #look(): Promise<void> {
    const { lock, prefix, name, clock } = this.#options;
    const wanted = this.#standing.wanted();
    if (wanted.size === 0) {
      this.#standing.records = new Map();
      return;
    }
    await this.#readRecords();
    const dueSince = (host: string) => this.#standing.records.get(host)?.record?.nextMs ?? 0;
    const due = [...wanted]
      .filter((host) => this.#isDue(host, this.#standing.records.get(host)?.record ?? null))
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
    this.#standing.records = records;
  }

  #isDue(host: string, record: HostRecord | null): boolean {
    if (this.#standing.kept.has(host) && this.#standing.ownOf(host)?.isFromAcme === false)
      return false;
    this.#standing.kept.delete(host);
    if (this.#standing.coverOf(host) !== null) return false;
    const now = this.#options.clock.now();
    if (record === null || record.nextMs <= now) return true;
    // So long a pause has been noted by a gateway whose clock was ahead.
    if (record.state !== "issued" && record.nextMs > now + longestPauseMs) return true;
    const isGone = record.state === "issued" && this.#standing.ownOf(host) === null;
    return isGone && record.startedMs + removedMs <= now;
  }

  /** Orders a certificate if it is still due, as Consul now says. Rejects only when Consul fails. */
  async #order(host: string, held: HeldLock, signal: AbortSignal): Promise<void> {
    const { kv, clock, materials, name, random, log } = this.#options;
    const { directory } = materials.settings;
    const key = this.#standing.recordKey(host);
    const before = await this.#found(key);
    if (!this.#isDue(host, before.record)) return;
    const present = await kv.get(this.#standing.certificateKey(host));
    if (present !== null && !isFromAcme(this.#standing.certificateKey(host), present.text)) {
      this.#standing.kept.add(host);
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
        {
          key: this.#standing.certificateKey(host),
          text: certificate.text,
          cas: present?.modifyIndex ?? 0,
        },
        { key, text: formatHostRecord(done), cas: modifyIndex },
      ];
      if (!(await kv.transact(writes)))
        throw new Error("somebody else wrote to its keys in Consul meanwhile");
      this.#standing.count("issued");
      log.info({ host, expires: dateOf(notAfter) }, `there is a new certificate for ${host}`);
    } catch (error) {
      if (held.signal.aborted) {
        this.#standing.count("given_up");
        log.warn({ host }, `the order for ${host} was given up: the lock in Consul is lost`);
        return;
      }
      const isStopped = this.#stopping.signal.aborted;
      this.#standing.count(isStopped ? "given_up" : "failed");
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
    const { chain, key } = await orderCertificate({
      ...{ materials, host, account, signal, now: () => clock.now() },
      onAccount: (url) => this.#accounts.name(account, url),
      publish: async (token, challenge) => {
        await held.put(challengeKey(token), formatChallenge(challenge));
        await this.#spread(token, signal);
      },
      withdraw: (token) => kv.remove(challengeKey(token)),
    }).catch(async (error: unknown) => {
      const isUnknown =
        error instanceof AcmeFailure && error.problem.type === "accountDoesNotExist";
      if (isUnknown) await this.#accounts.name(account, null);
      throw error;
    });
    const name = certificateName(host);
    const written = { chain, key, sealedKey: null, facts: null };
    const nowMs = clock.now();
    const onArrival = inspect(written, name, null, nowMs);
    const from = "problem" in onArrival ? (onArrival.from ?? never) : nowMs;
    // Gateways serve it once it is valid by their own clocks.
    const outcome = from > nowMs + skewMs ? onArrival : inspect(written, name, null, from);
    if ("problem" in outcome) throw new Error(`what the authority issued: ${outcome.problem}`);
    const { facts } = outcome.certificate;
    if (facts === null || !facts.names.includes(host))
      throw new Error("what the authority issued is for another host");
    const secret = sealingKey === null ? { key } : { sealed_key: seal(sealingKey, name, key) };
    const text = JSON.stringify({ chain, ...secret, acme: true }, null, 2);
    // What no gateway could read would be ordered again and again.
    parseCertificate(this.#standing.certificateKey(host), text);
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

function isFromAcme(key: string, text: string): boolean {
  try {
    return parseCertificate(key, text).isFromAcme === true;
  } catch (error) {
    // Whatever it is, no gateway wrote it.
    if (error instanceof DocumentError) return false;
    throw error;
  }
}
