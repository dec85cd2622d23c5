/**
 * Host and upstream documents on their way into service: a host document passes when its own tests do, and else its last
 * good version stays. What became of each version is noted in its history.
 */
import {
  parseHostDocument,
  parsePeerSettings,
  parseUpstreamDocument,
} from "../../documents/index.ts";
import type {
  DocumentCandidate,
  HostDocument,
  Served,
  Source,
  VersionedKind,
} from "../../model/index.ts";
import type { ScriptFault } from "../../sandbox/index.ts";
import { partsOf, type Subject } from "../records/keys.ts";
import type { Scribe } from "../records/scribe.ts";
import type { Refusals } from "../refusals.ts";
import { failedRouteTest, withoutTests } from "./route-tests.ts";

export interface DocumentReleasesOptions {
  readonly pass: (changes: readonly Served[]) => void;
  readonly refusals: Refusals;
  readonly scribe: Pick<Scribe, "note">;
}

export class DocumentReleases {
  readonly #options: DocumentReleasesOptions;
  readonly #live = new Map<Subject, Source>();
  /** The ModifyIndex of what was looked at last, whether it passed or not. */
  readonly #decided = new Map<Subject, number>();
  #hasBegun = false;

  constructor(options: DocumentReleasesOptions) {
    this.#options = options;
  }

  /**
   * What is there already needs no entry in a history: only what comes from now on has somebody who brought it.
   */
  begin(): void {
    this.#hasBegun = true;
  }

  /** The last good text of each, as Consul had it. */
  all(): ReadonlyMap<Subject, Source> {
    return this.#live;
  }

  take(candidates: readonly DocumentCandidate[]): void {
    const passing: Served[] = [];
    for (const candidate of candidates) {
      const served = this.#look(candidate);
      if (served !== null) passing.push(served);
    }
    if (passing.length > 0) this.#options.pass(passing);
  }

  /** The ModifyIndex of what was decided on last; `null`: there is none. */
  decided(subject: Subject): number | null {
    return this.#decided.get(subject) ?? null;
  }

  /** What Consul has of it, as far as it is good; `null`: nothing is. */
  live(subject: Subject): Source | null {
    return this.#live.get(subject) ?? null;
  }

  #look(candidate: DocumentCandidate): Served | null {
    const { refusals } = this.#options;
    const { kind, key, value, source = null } = candidate;
    const subject: Subject = `${kind}s/${key}`;
    if (source === null) this.#decided.delete(subject);
    else this.#decided.set(subject, source.modifyIndex);
    if (kind !== "host" || value === null) {
      this.#passes(subject, source);
      return { kind, key, value } as Served;
    }
    const fault = faultOf(subject, value);
    if (fault === null) {
      this.#passes(subject, source);
      return { kind, key, value: withoutTests(value) };
    }
    const reason = refusals.add(subject, source?.version ?? null, fault);
    const before = this.#live.get(subject) ?? null;
    if (reason !== null && source !== null)
      this.#note(subject, source, "refused", { detail: reason, before });
    return null;
  }

  /** `null`: it is gone. */
  #passes(subject: Subject, source: Source | null): void {
    const before = this.#live.get(subject) ?? null;
    if (source === null) {
      this.#options.refusals.drop(subject);
      this.#live.delete(subject);
      if (before !== null) this.#note(subject, before, "removed", { before });
      return;
    }
    this.#options.refusals.passes(subject, source.version);
    this.#live.set(subject, source);
    // Also for a version that was live all the time: somebody may have put it back after a refused one.
    this.#note(subject, source, "live", { before });
  }

  /** @param more.before what was live until then: the history may not have heard of it. */
  #note(
    subject: Subject,
    source: Source,
    outcome: "refused" | "live" | "removed",
    more: { readonly detail?: string; readonly before: Source | null },
  ): void {
    if (this.#hasBegun) this.#options.scribe.note(subject, source, outcome, more);
  }
}

/** What is served of a document with this text. @throws DocumentError */
export function servedDocument(
  subject: Subject,
  text: string,
): Extract<Served, { readonly kind: VersionedKind }> {
  const { kind, name: key } = partsOf(subject);
  if (kind === "peers") return { kind: "peer", key, value: parsePeerSettings(subject, text) };
  if (kind === "hosts")
    return { kind: "host", key, value: withoutTests(parseHostDocument(subject, text)) };
  return { kind: "upstream", key, value: parseUpstreamDocument(subject, text) };
}

/** The first of its own tests that fails; `null`: it is good. */
export function faultOf(subject: Subject, document: HostDocument): ScriptFault | null {
  const test = failedRouteTest(document);
  if (test === null) return null;
  const message = `${test.name}: expected ${test.expected}, got ${test.actual}`;
  return { key: subject, line: 0, column: 0, message, test };
}
