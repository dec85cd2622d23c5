/** Of one host: versions that fail too often and are not taken back, and why. */
import type { Agreement } from "../../model/index.ts";

interface Staying {
  readonly why: string;
  /** Each reason to stay is reported once. */
  readonly said: Set<string>;
  /** How it fails, as long as it does. */
  readonly reason: string | null;
}

/** The live version, one on trial, and those that were either just before. */
const maxStaying = 4;

export class StayingVersions {
  /** The one that was found last at the end. */
  readonly #staying = new Map<string, Staying>();

  /** Returns whether that is news. */
  add(version: string, why: string, reason: string): boolean {
    const said = this.#staying.get(version)?.said ?? new Set();
    const isNews = !said.has(why);
    this.#staying.delete(version);
    this.#staying.set(version, { why, reason, said: said.add(why) });
    for (const oldest of this.#staying.keys()) {
      if (this.#staying.size <= maxStaying) break;
      this.#staying.delete(oldest);
    }
    return isNews;
  }

  /** Which versions fail too often now. */
  failsNow(versions: ReadonlySet<string>): void {
    for (const [version, staying] of this.#staying) {
      if (!versions.has(version)) this.#staying.set(version, { ...staying, reason: null });
    }
  }

  /** How the version that is live, or has a share, fails, and why it stays all the same. */
  describe(agreed: Agreement | null): string | null {
    const say = (version: string | null | undefined, where: string) => {
      const { why = "", reason = null } = this.#staying.get(version ?? "") ?? {};
      return reason === null ? null : `${where}${reason}; ${why}`;
    };
    return say(agreed?.live, "") ?? say(agreed?.next?.version, "in its rollout: ");
  }
}
