/**
 * Decides how something new becomes live. Takes candidates, as Consul has them, and gives what is to be served.
 * Scripts and modules pass the gate, which examines them, and then serve as the gateways agree; documents pass
 * when their own tests do. Everything is remembered in Consul.
 */
import {
  type Candidate,
  type DocumentCandidate,
  isVersioned,
  type LastWords,
  type Served,
  type Source,
  type Tables,
  type TenantPolicy,
  Tenants,
} from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { ExamineScript, ReplayScript } from "../sandbox/index.ts";
import { DocumentReleases } from "./documents/document-releases.ts";
import { ScriptGate } from "./examining/gate.ts";
import { SourceChecks } from "./examining/source-checks.ts";
import type { ScriptCount } from "./failing/counters.ts";
import type { WorkerScriptReport } from "./failing/error-rates.ts";
import type { Subject } from "./records/keys.ts";
import type { Records } from "./records/records.ts";
import { Retention } from "./records/retention.ts";
import { Scribe } from "./records/scribe.ts";
import { Refusals, type RefusedVersion } from "./refusals.ts";
import { HostReleases } from "./serving/host-releases.ts";
import { describeScript, type ScriptStatus } from "./serving/status.ts";
import { withoutForeignImports } from "./tenancy.ts";

export interface ReleasesOptions {
  /** Also reads the schedule. */
  readonly examine: ExamineScript;
  readonly replay: ReplayScript;
  readonly records: Records;
  /** Names this gateway in histories. */
  readonly name: string;
  /** What is served: at the start what a snapshot left, from then on what `pass` was given. */
  readonly served: Tables;
  /** Who may use what. Default, or `null`: there is one tenant. */
  readonly tenants?: TenantPolicy | null;
  readonly pass: (changes: readonly Served[]) => void;
  /** What the workers that live report. */
  readonly reports: () => readonly WorkerScriptReport[];
  readonly clock: { now(): number; after(delayMs: number, task: () => void): () => void };
  readonly log: Log;
  /** Of all keys in Consul. */
  readonly prefix: string;
}

/** The outcome of every version. */
export interface ReleasesStatus {
  readonly scripts: readonly ScriptStatus[];
  readonly refused: readonly RefusedVersion[];
}

export class Releases {
  readonly #served: Tables;
  readonly #tenants: Tenants | null;
  readonly #gate: ScriptGate;
  readonly #hosts: HostReleases;
  readonly #documents: DocumentReleases;
  readonly #refusals: readonly Refusals[];
  readonly #scribe: Scribe;
  readonly #retention: Retention;
  #hasBegun = false;
  #isStopped = false;

  constructor(options: ReleasesOptions) {
    const { served, tenants = null, pass, clock, log } = options;
    this.#served = served;
    this.#tenants = tenants === null ? null : new Tenants(tenants);
    const scribe = new Scribe(options);
    const refusals = { documents: new Refusals(options), sources: new Refusals(options) };
    const checks = new SourceChecks(served, pass);
    const examine = checks.learnFrom(options.examine);
    const hosts = new HostReleases({
      ...options,
      ...{ examine, live: served, scribe },
      pass: (changes) => pass(checks.give(changes)),
    });
    this.#gate = new ScriptGate({
      ...{ examine, serving: hosts, refusals: refusals.sources },
      live: withoutForeignImports(withClosed(served), tenants),
      ...{ clock, log },
    });
    this.#documents = new DocumentReleases({ pass, refusals: refusals.documents, scribe });
    this.#hosts = hosts;
    this.#refusals = [refusals.documents, refusals.sources];
    this.#scribe = scribe;
    this.#retention = new Retention(options);
  }

  /** What Consul has now, in its order. Returns at once. */
  offer(candidates: readonly Candidate[]): void {
    const documents = candidates.filter(isDocument);
    if (documents.length > 0) this.#documents.take(documents);
    const others = candidates.filter((one) => !isDocument(one));
    if (others.length > 0) this.#gate.offer(others);
  }

  /** The ModifyIndex of the document that was decided on last; `null`: there is none. */
  decided(subject: Subject): number | null {
    return this.#documents.decided(subject);
  }

  /** The last good text of a document; `null`: there is none. */
  live(subject: Subject): Source | null {
    return this.#documents.live(subject);
  }

  /** A worker could not get out of a script: it runs nowhere from now on. */
  stalled(words: LastWords): void {
    this.#hosts.stalled(words);
  }

  /** Does not wait any longer for the rest of what Consul has: examines what is there, and puts it into service. */
  begin(): void {
    this.#gate.begin();
    this.#begin();
  }

  /**
   * Called when everything that Consul has was offered: puts into service what passes. Resolves when every
   * outcome is known, or when `isOver` resolves.
   */
  async settle(isOver: Promise<void>): Promise<void> {
    this.#gate.begin();
    await Promise.race([this.#gate.settled(), isOver]);
    if (this.#isStopped) return;
    this.#begin();
    await Promise.race([this.#hosts.settled(), isOver]);
  }

  /**
   * The gateway opens. Hosts whose script is not examined yet answer 503 until it is. Returns how many those
   * are.
   */
  openWithout(): number {
    return this.#hosts.openWithout();
  }

  /** @param countOf how often each version was called and failed. */
  status(countOf: (host: string, version: string) => ScriptCount): ReleasesStatus {
    const hosts = new Set([...this.#served.script.keys(), ...this.hosts()]);
    const scripts = Array.from(hosts, (host) =>
      describeScript({
        host,
        source: this.#served.script.get(host) ?? null,
        trial: this.#served.trial.get(host)?.source.version ?? null,
        life: this.#hosts.status(host),
        loadedAt: this.#gate.loadedAt(host),
        countOf: (version) => countOf(host, version),
        tenant: this.#tenants?.ownerOf("hosts", host) ?? null,
      }),
    );
    return {
      scripts: scripts.filter((script) => script !== null),
      refused: this.#refusals.flatMap((refusals) => refusals.list()),
    };
  }

  /** The version that passed its checks of everything that has versions, as far as it was read from Consul. */
  applied(): ReadonlyMap<Subject, string> {
    const applied = new Map<Subject, string>();
    for (const [subject, { version }] of this.#documents.all()) applied.set(subject, version);
    for (const [name, { version }] of this.#served.module) applied.set(`modules/${name}`, version);
    for (const host of this.hosts()) {
      const { accepted } = this.#hosts.status(host);
      if (accepted !== null) applied.set(`scripts/${host}`, accepted);
    }
    return applied;
  }

  /** Whose present text is not let through. */
  refused(): readonly Subject[] {
    return this.#refusals.flatMap((refusals) => [...refusals.subjects()]);
  }

  /** Hosts with a known script, whether it is in service or not. */
  hosts(): Iterable<string> {
    return this.#hosts.hosts();
  }

  /** Resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([this.#hosts.stop(), this.#scribe.close(), this.#retention.stop()]);
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#hosts.begin();
    this.#documents.begin();
    this.#retention.start();
  }
}

/** The tables of a snapshot with every script that Consul had: also those that its schedule kept closed. */
export function withClosed(tables: Tables): Tables {
  const script = new Map<string, Source>();
  for (const [host, trial] of tables.trial) script.set(host, trial.source);
  for (const [host, closed] of tables.closed) {
    const source = closed.script ?? closed.trial?.source;
    if (source !== undefined) script.set(host, source);
  }
  for (const [host, source] of tables.script) script.set(host, source);
  return { ...tables, script };
}

function isDocument(candidate: Candidate): candidate is DocumentCandidate {
  return isVersioned(candidate.kind);
}
