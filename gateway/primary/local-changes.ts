/**
 * Documents that an operator gave to this gateway alone, until it ends: they go before what Consul has under
 * the same name. The gateway goes on to follow what Consul has, and the data directory keeps that.
 */
import { DocumentError } from "../documents/index.ts";
import {
  isVersioned,
  type Served,
  type Source,
  type VersionedKind,
  versionOf,
} from "../model/index.ts";
import { type Operations, SourceRefused, type Subject, servedDocument } from "../releases/index.ts";
import type { Clock } from "./clock.ts";

/** A local change, as `/status` shows it. */
export interface LocalChange {
  /** `upstreams/<name>` or `hosts/<host>`, without the prefix, since it is not in Consul. */
  readonly subject: Subject;
  readonly version: string;
  readonly by: string;
  /** ISO 8601. */
  readonly since: string;
}

type DocumentChange = Extract<Served, { readonly kind: VersionedKind }>;

interface Held extends LocalChange {
  readonly text: string;
  readonly change: DocumentChange;
  /** What would be served without it. */
  beneath: Served;
}

export interface LocalChangesOptions {
  readonly operations: Pick<Operations, "test">;
  /** What is served now under this subject; a change with `null` when nothing is. */
  readonly served: (kind: DocumentChange["kind"], key: string) => Served;
  /** The last good text that Consul had. */
  readonly live: (subject: Subject) => Pick<Source, "text" | "version"> | null;
  readonly pass: (changes: readonly Served[]) => void;
  /** Gives a document without the servers that cannot be peers. */
  readonly guard: (change: DocumentChange) => DocumentChange;
  readonly clock: Pick<Clock, "now">;
}

/** For an experiment on one gateway a few are enough; each has its text in memory. */
const mostChanges = 100;

export class LocalChanges {
  readonly #options: LocalChangesOptions;
  readonly #held = new Map<Subject, Held>();

  constructor(options: LocalChangesOptions) {
    this.#options = options;
  }

  /** Resolves to its version and how many of its own tests passed. @throws SourceRefused, DocumentError */
  async put(subject: Subject, text: string, by: string) {
    const { operations, served, pass, guard, clock } = this.#options;
    const { fault, passed } = await operations.test(subject, text);
    if (fault !== null) throw new SourceRefused(fault);
    if (!this.#held.has(subject) && this.#held.size >= mostChanges) {
      const problem = `this gateway has ${mostChanges} local changes already; take some back`;
      throw new DocumentError("too_large", subject, problem);
    }
    const change = guard(servedDocument(subject, text));
    const version = versionOf(text);
    const since = new Date(clock.now()).toISOString();
    const beneath = this.#held.get(subject)?.beneath ?? served(change.kind, change.key);
    this.#held.set(subject, { subject, version, by, since, text, change, beneath });
    pass([change]);
    return { version, tests: passed };
  }

  /** Serves what Consul has again. False: there was no local change. */
  takeBack(subject: Subject): boolean {
    const held = this.#held.get(subject);
    if (held === undefined) return false;
    this.#held.delete(subject);
    this.#options.guard({ ...held.change, value: null });
    this.#options.pass([held.beneath]);
    return true;
  }

  /** Its text and version; `null`: there is none. */
  find(subject: Subject): Pick<Held, "text" | "version"> | null {
    return this.#held.get(subject) ?? null;
  }

  /** What holds here: the local change, else what Consul last had. Does not ask Consul. */
  holding(subject: Subject): Pick<Source, "text" | "version"> | null {
    return this.find(subject) ?? this.#options.live(subject);
  }

  list(): readonly LocalChange[] {
    return Array.from(this.#held.values(), ({ subject, version, by, since }) => ({
      ...{ subject, version, by, since },
    }));
  }

  /** The changes from Consul that are to be served: those without a local change. */
  over(changes: readonly Served[]): readonly Served[] {
    if (this.#held.size === 0) return changes;
    return changes.filter((change) => {
      const held = this.#heldOf(change);
      if (held !== undefined) held.beneath = change;
      return held === undefined;
    });
  }

  /** These entries of the state as they would be without local changes. */
  without(changes: readonly Served[]): readonly Served[] {
    if (this.#held.size === 0) return changes;
    const others = changes.filter((change) => this.#heldOf(change) === undefined);
    const beneath = Array.from(this.#held.values(), (held) => held.beneath);
    return [...others, ...beneath.filter(({ value }) => value !== null)];
  }

  #heldOf({ kind, key }: Served): Held | undefined {
    if (!isVersioned(kind)) return undefined;
    return this.#held.get(`${kind}s/${key}`);
  }
}
