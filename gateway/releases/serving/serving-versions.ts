/**
 * The versions that serve a host on this gateway, those that their schedule keeps out, and earlier ones that
 * may be needed again. Remembers and compares; decides nothing.
 */
import type { Closed, Served, Source, Trial } from "../../model/index.ts";

/** What would serve a host at any time of the day. */
export interface Wanted {
  readonly script: Source | null;
  readonly trial: Trial | null;
}

/** What is to serve it now. */
export interface InService extends Wanted {
  /** What would serve but for its schedule; `null`: nothing. */
  readonly closed: Closed | null;
}

export const nothingInService: InService = { script: null, trial: null, closed: null };

export class ServingVersions {
  #now: InService = nothingInService;
  /** Earlier versions that are needed again. */
  readonly #found = new Map<string, Source>();

  /** What serves at the start, out of a snapshot. */
  begin(served: InService): void {
    this.#now = served;
  }

  /** As workers have it: marked when it is out of service. */
  get script(): Source | null {
    return this.#now.script;
  }

  /** What serves, or would but for its schedule. */
  get wanted(): Wanted {
    const { script, trial, closed } = this.#now;
    const source = script ?? closed?.script ?? null;
    return {
      script: source === null ? null : unmarked(source),
      trial: trial ?? closed?.trial ?? null,
    };
  }

  serves(version: string): boolean {
    return this.#present().some((source) => source.version === version);
  }

  /** Every version that is here. */
  sources(): readonly Source[] {
    return [...this.#present(), ...this.#found.values()];
  }

  find(version: string): Source | null {
    const source = this.sources().find((one) => one.version === version);
    return source === undefined ? null : unmarked(source);
  }

  /** An earlier version was brought. */
  add(source: Source): void {
    this.#found.clear();
    this.#found.set(source.version, source);
  }

  /** Drops earlier versions that nothing can need again. */
  keep(isNeeded: (version: string) => boolean): void {
    for (const version of this.#found.keys()) {
      if (!isNeeded(version)) this.#found.delete(version);
    }
  }

  /** What has to change for these to serve. */
  show(host: string, next: InService): readonly Served[] {
    const { script, trial, closed } = this.#now;
    this.#now = next;
    const changes: Served[] = [];
    if (!isSame(next.script, script)) {
      // A version that leaves service may be needed for a take-back.
      if (script !== null) this.#found.set(script.version, script);
      changes.push({ kind: "script", key: host, value: next.script });
    }
    if (!isSameClosed(next.closed, closed)) {
      changes.push({ kind: "closed", key: host, value: next.closed });
    }
    if (!isSameTrial(next.trial, trial)) {
      changes.push({ kind: "trial", key: host, value: next.trial });
    }
    return changes;
  }

  #present(): readonly Source[] {
    const { script, trial, closed } = this.#now;
    const sources = [script, trial?.source, closed?.script, closed?.trial?.source];
    return sources.filter((source) => source !== undefined && source !== null);
  }
}

function isSame(a: Source | null | undefined, b: Source | null | undefined): boolean {
  return a?.version === b?.version && a?.outOfService?.reason === b?.outOfService?.reason;
}

function isSameTrial(a: Trial | null, b: Trial | null): boolean {
  return isSame(a?.source, b?.source) && a?.share === b?.share && a?.by === b?.by;
}

function isSameClosed(a: Closed | null, b: Closed | null): boolean {
  return isSame(a?.script, b?.script) && isSame(a?.trial?.source, b?.trial?.source);
}

function unmarked({ outOfService: _, ...source }: Source): Source {
  return source;
}
