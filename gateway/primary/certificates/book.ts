/**
 * All certificates that the gateway has, from KV and from files: checks each, serves the good ones, keeps the last good one of a
 * name, and says by name what is wrong with the others. Checking one takes a millisecond, so many are checked in several turns.
 */
import type { Certificate, CertificateFacts, Observed, Served } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { ListenerSettings } from "../../settings-listeners.ts";
import type { Clock } from "../clock.ts";
import type { RefusedValue } from "../status.ts";
import type { Finding } from "../without-effect.ts";
import type { FilesFound } from "./files.ts";
import { dateText, inspect } from "./inspect.ts";

/** What `/status` shows of one that is served. */
export interface CertificateStatus extends Omit<CertificateFacts, "notBefore" | "notAfter"> {
  /** The key in KV, or the path of its file. */
  readonly key: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** It has no key of its own: it says whose certificates are believed. */
  readonly isAuthority: boolean;
}

/** One that is served for hosts. */
export interface HostCertificate {
  /** The key in KV, or the path of its file. */
  readonly place: string;
  readonly names: readonly string[];
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  /** A gateway ordered it. */
  readonly isFromAcme: boolean;
}

export interface BookOptions {
  /** Of all keys in KV, with a slash at the end. */
  readonly prefix: string;
  /** All that the settings give; those with TLS need certificates. */
  readonly listeners: readonly Pick<ListenerSettings, "flag" | "tls">[];
  /** `null`: sealed keys cannot be opened. */
  readonly sealingKey: Buffer | null;
  readonly serve: (changes: readonly Served[]) => void;
  /** Whether workers have a state already. What is there before must be complete when they get it, however long it takes. */
  readonly isOpen: () => boolean;
  /** Called when other certificates are refused or about to expire than before. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

interface Written {
  /** As it was written, to be looked at again. */
  readonly written: Certificate;
  /** In KV, or a path. */
  readonly place: string;
  readonly name: string;
}

interface Entry extends Written {
  served: Certificate | null;
  problem: RefusedValue | null;
  /** From when on it is valid, if that is what is wrong with it. */
  from: number;
}

const dayMs = 86_400_000;
/** From then on its expiry is a warning. */
const warnedMs = 21 * dayMs;
/** How often it checks again those certificates that time may have made good. */
const lookMs = 60_000;
/** How long it checks in one turn. */
const turnMs = 20;
const never = Number.POSITIVE_INFINITY;

export class CertificateBook {
  readonly #options: BookOptions;
  /** By the key under which it is served: `kv/<name>`, `file/<name>`. */
  readonly #entries = new Map<string, Entry>();
  /** Those that still have to be checked, by the same keys. */
  readonly #unchecked = new Map<string, Written>();
  #cancelTurn: (() => void) | null = null;
  #fileProblems: readonly RefusedValue[] = [];
  #cancel: (() => void) | null = null;

  constructor(options: BookOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancel = this.#options.clock.after(lookMs, () => this.#lookAgain());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#cancelTurn?.();
    this.#cancelTurn = null;
  }

  /** Takes the changes of certificates in KV; returns all other changes. */
  pass(changes: readonly Observed[]): readonly Observed[] {
    if (!changes.some(({ kind }) => kind === "certificate")) return changes;
    const gone: Served[] = [];
    const others: Observed[] = [];
    for (const change of changes) {
      if (change.kind !== "certificate") {
        others.push(change);
        continue;
      }
      const { key: name, value: written } = change;
      const id = `kv/${name}`;
      const place = `${this.#options.prefix}certificates/${name}`;
      if (written === null) this.#remove(id, gone);
      else this.#unchecked.set(id, { written, place, name });
    }
    this.#check(gone);
    return others;
  }

  takeFiles({ certificates, problems }: FilesFound): void {
    const gone: Served[] = [];
    const present = new Set<string>();
    for (const { name, path: place, certificate: written } of certificates) {
      const id = `file/${name}`;
      present.add(id);
      const known = this.#unchecked.get(id) ?? this.#entries.get(id);
      if (known?.written !== written) this.#unchecked.set(id, { written, place, name });
    }
    for (const id of [...this.#entries.keys(), ...this.#unchecked.keys()])
      if (id.startsWith("file/") && !present.has(id)) this.#remove(id, gone);
    const before = new Map(this.#fileProblems.map((one) => [`${one.key} ${one.error}`, one]));
    this.#fileProblems = problems.map(({ path, problem }) => {
      const known = before.get(`${path} ${path}: ${problem}`);
      return known ?? this.#refusal(path, `${path}: ${problem}`);
    });
    this.#check(gone);
  }

  /** Those whose last value cannot be used. */
  refused(): readonly RefusedValue[] {
    const entries = [...this.#entries.values()].flatMap(({ problem }) => problem ?? []);
    return [...entries, ...this.#fileProblems];
  }

  forHosts(): readonly HostCertificate[] {
    return [...this.#entries.values()].flatMap(({ place, served, written }) => {
      if (served?.facts == null || served.key === null) return [];
      const { names, notAfter } = served.facts;
      return { place, names, notAfter, isFromAcme: written.isFromAcme === true };
    });
  }

  status(): readonly CertificateStatus[] {
    return [...this.#entries.values()].flatMap(({ place, served }) => {
      if (served?.facts == null) return [];
      const { facts, key } = served;
      return {
        ...facts,
        key: place,
        notBefore: dateText(facts.notBefore),
        notAfter: dateText(facts.notAfter),
        isAuthority: key === null,
      };
    });
  }

  warnings(): readonly Finding[] {
    return [...this.#expiring(), ...this.#lacking()];
  }

  /** Of listeners whose clients get no certificate. */
  *#lacking(): Generator<Finding> {
    const served = [...this.#entries.values()].filter(
      (entry) => (entry.served?.key ?? null) !== null,
    );
    for (const { flag: key, tls } of this.#options.listeners) {
      if (tls === null) continue;
      const { defaultCertificate: name } = tls;
      if (served.length === 0)
        yield {
          key,
          warning:
            "there is no certificate, so every handshake ends with unrecognized_name: give --certificates, or write one with sluice certificate push",
        };
      else if (name !== null && !served.some((entry) => entry.name === name))
        yield {
          key,
          warning: `there is no certificate ${name}, its default: a client that asks for no name, or an unknown one, gets none`,
        };
    }
  }

  #expiring(): readonly Finding[] {
    const now = this.#options.clock.now();
    return [...this.#entries.values()].flatMap(({ place, served, written }) => {
      if (served?.facts == null) return [];
      const { notBefore, notAfter } = served.facts;
      // One that gateways replace by themselves may live for less than that; they are late by then.
      const isReplaced = written.isFromAcme === true;
      const warned = isReplaced ? Math.min(warnedMs, (notAfter - notBefore) / 5) : warnedMs;
      if (notAfter > now + warned) return [];
      const date = dateText(served.facts.notAfter);
      const isOver = served.facts.notAfter <= now;
      const warning = isOver
        ? `the certificate expired on ${date} and is still served`
        : `the certificate expires on ${date}`;
      return { key: place, warning };
    });
  }

  #remove(id: string, gone: Served[]): void {
    this.#unchecked.delete(id);
    const before = this.#entries.get(id);
    this.#entries.delete(id);
    if (before?.served != null) gone.push({ kind: "certificate", key: id, value: null });
  }

  /** Serves `served` and what turns out to be good. What takes longer than a turn is left to later ones. */
  #check(served: Served[]): void {
    const { clock, isOpen } = this.#options;
    const until = isOpen() ? clock.ticks() + turnMs : never;
    for (const [id, written] of this.#unchecked) {
      this.#unchecked.delete(id);
      this.#take(id, written, served);
      if (clock.ticks() >= until) break;
    }
    if (this.#unchecked.size > 0)
      this.#cancelTurn ??= clock.after(0, () => {
        this.#cancelTurn = null;
        this.#check([]);
      });
    if (served.length > 0) this.#options.serve(served);
    this.#options.onChange();
  }

  #take(id: string, { written, place, name }: Written, served: Served[]): void {
    const before = this.#entries.get(id);
    const { sealingKey, clock } = this.#options;
    const outcome = inspect(written, name, sealingKey, clock.now());
    const common = { written, place, name };
    if ("problem" in outcome) {
      const error = `${place}: ${outcome.problem}`;
      const problem =
        before?.problem?.error === error ? before.problem : this.#refusal(place, error);
      const from = outcome.from ?? never;
      this.#entries.set(id, { ...common, served: before?.served ?? null, problem, from });
      return;
    }
    const { certificate: value } = outcome;
    this.#entries.set(id, { ...common, served: value, problem: null, from: never });
    served.push({ kind: "certificate", key: id, value });
  }

  #refusal(key: string, error: string): RefusedValue {
    this.#options.log.warn({ key }, error);
    return { key, error, since: new Date(this.#options.clock.now()).toISOString() };
  }

  /** With time, some that were refused become valid, and others come close to their expiry. */
  #lookAgain(): void {
    const now = this.#options.clock.now();
    for (const [id, entry] of this.#entries)
      if (entry.from <= now && !this.#unchecked.has(id)) this.#unchecked.set(id, entry);
    this.#check([]);
    this.start();
  }
}
