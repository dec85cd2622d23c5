/**
 * All certificates that the gateway has, from KV and from files: checks each, serves the good ones, keeps the last good one of a
 * name, and says by name what is wrong with the others.
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
  /** Called when other certificates are refused or about to expire than before. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

interface Entry {
  /** As it was written, to be looked at again. */
  readonly written: Certificate;
  /** In KV, or a path. */
  readonly place: string;
  readonly name: string;
  served: Certificate | null;
  problem: RefusedValue | null;
}

const dayMs = 86_400_000;
/** From then on its expiry is a warning. */
const warnedMs = 21 * dayMs;
/** How often it checks again those certificates that time may have made good or bad. */
const lookMs = 60_000;

export class CertificateBook {
  readonly #options: BookOptions;
  /** By the key under which it is served: `kv/<name>`, `file/<name>`. */
  readonly #entries = new Map<string, Entry>();
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
  }

  /** Takes the changes of certificates in KV; returns all other changes. */
  pass(changes: readonly Observed[]): readonly Observed[] {
    if (!changes.some(({ kind }) => kind === "certificate")) return changes;
    const served: Served[] = [];
    const others: Observed[] = [];
    for (const change of changes) {
      if (change.kind !== "certificate") others.push(change);
      else
        this.#take(
          `kv/${change.key}`,
          change.key,
          `${this.#options.prefix}certificates/${change.key}`,
          change.value,
          served,
        );
    }
    this.#serve(served);
    return others;
  }

  takeFiles({ certificates, problems }: FilesFound): void {
    const served: Served[] = [];
    const present = new Set<string>();
    for (const { name, path, certificate } of certificates) {
      const id = `file/${name}`;
      present.add(id);
      if (this.#entries.get(id)?.written !== certificate)
        this.#take(id, name, path, certificate, served);
    }
    for (const [id, { name, place }] of this.#entries) {
      if (id.startsWith("file/") && !present.has(id)) this.#take(id, name, place, null, served);
    }
    const before = new Map(this.#fileProblems.map((one) => [`${one.key} ${one.error}`, one]));
    this.#fileProblems = problems.map(({ path, problem }) => {
      const known = before.get(`${path} ${path}: ${problem}`);
      return known ?? this.#refusal(path, `${path}: ${problem}`);
    });
    this.#serve(served);
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

  #take(
    id: string,
    name: string,
    place: string,
    written: Certificate | null,
    served: Served[],
  ): void {
    const before = this.#entries.get(id);
    if (written === null) {
      this.#entries.delete(id);
      if (before?.served != null) served.push({ kind: "certificate", key: id, value: null });
      return;
    }
    const { sealingKey, clock } = this.#options;
    const outcome = inspect(written, name, sealingKey, clock.now());
    const entry: Entry = { written, place, name, served: before?.served ?? null, problem: null };
    this.#entries.set(id, entry);
    if ("problem" in outcome) {
      const error = `${place}: ${outcome.problem}`;
      entry.problem =
        before?.problem?.error === error ? before.problem : this.#refusal(place, error);
      return;
    }
    entry.served = outcome.certificate;
    served.push({ kind: "certificate", key: id, value: outcome.certificate });
  }

  #refusal(key: string, error: string): RefusedValue {
    this.#options.log.warn({ key }, error);
    return { key, error, since: new Date(this.#options.clock.now()).toISOString() };
  }

  /** With time, refused ones become valid, and others come close to their expiry. */
  #lookAgain(): void {
    const served: Served[] = [];
    for (const [id, { problem, name, place, written }] of [...this.#entries]) {
      if (problem !== null) this.#take(id, name, place, written, served);
    }
    this.#serve(served);
    this.start();
  }

  #serve(served: readonly Served[]): void {
    if (served.length > 0) this.#options.serve(served);
    this.#options.onChange();
  }
}
