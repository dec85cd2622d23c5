/**
 * What this gateway found out about a host's versions and has not written to Consul yet: those that failed, and one that may
 * run again.
 */
import type { Agreement, TakenBack } from "../../model/index.ts";
import { isTakenBack, mend, takeBack } from "./steps.ts";

/** A module changed that an out-of-service version imports. */
interface Mended {
  readonly version: string;
  readonly atMs: number;
}

interface Failure {
  readonly failed: TakenBack;
  /** Whether the version before it may serve in its place. */
  readonly mayGoBack: boolean;
}

export class Findings {
  #failures: readonly Failure[] = [];
  #mended: readonly Mended[] = [];

  get isEmpty(): boolean {
    return this.#failures.length === 0;
  }

  failureOf(version: string): TakenBack | undefined {
    return this.#failures.find(({ failed }) => failed.version === version)?.failed;
  }

  fail(failed: TakenBack, mayGoBack: boolean): void {
    this.#failures = [...this.#failures, { failed, mayGoBack }];
  }

  mend(version: string, atMs: number): void {
    this.#failures = this.#failures.filter(({ failed }) => failed.version !== version);
    this.#mended = [...this.#mended.filter((one) => one.version !== version), { version, atMs }];
  }

  clear(): void {
    this.#failures = [];
    this.#mended = [];
  }

  /** The agreement with these findings; the same object when they change nothing. */
  apply(agreement: Agreement): Agreement {
    let next = agreement;
    for (const { version, atMs } of this.#mended) next = mend(next, version, atMs);
    for (const { failed, mayGoBack } of this.#failures) next = takeBack(next, failed, mayGoBack);
    return next;
  }

  /**
   * Consul has this now: findings that change nothing in it are forgotten. `accepted`: the version
   * in KV, which may be ahead of the agreement.
   */
  heard(agreement: Agreement | null, accepted: string | null): void {
    this.#mended = this.#mended.filter(
      ({ version, atMs }) => agreement !== null && mend(agreement, version, atMs) !== agreement,
    );
    this.#failures = this.#failures.filter(({ failed: { version } }) => {
      if (![agreement?.live, agreement?.next?.version, accepted].includes(version)) return false;
      return (
        !isTakenBack(agreement, version) || this.#mended.some((one) => one.version === version)
      );
    });
  }
}
