/** Versions that are being fetched or examined, and those that could not be had. */
export class Fetches {
  readonly #running = new Set<string>();
  /** Not to be had, and until when. */
  readonly #lost = new Map<string, number>();

  /** False when it is under way already. */
  begin(version: string): boolean {
    if (this.#running.has(version)) return false;
    this.#running.add(version);
    return true;
  }

  /** It is here. */
  end(version: string): void {
    this.#running.delete(version);
    this.#lost.delete(version);
  }

  /** It cannot be had; looked for again at `retryAtMs`. Default: never. */
  lose(version: string, retryAtMs = Number.POSITIVE_INFINITY): void {
    this.#running.delete(version);
    this.#lost.set(version, retryAtMs);
  }

  /** Whether it cannot be had: not now, or not at all. */
  lossOf(version: string): "none" | "for now" | "for good" {
    const retryAtMs = this.#lost.get(version);
    if (retryAtMs === undefined) return "none";
    return retryAtMs === Number.POSITIVE_INFINITY ? "for good" : "for now";
  }

  /** Whether something is still on its way, or looked for again. */
  get isWaiting(): boolean {
    const mayCome = [...this.#lost.values()].some((ms) => ms !== Number.POSITIVE_INFINITY);
    return this.#running.size > 0 || mayCome;
  }

  /** What may be looked for again. */
  retry(nowMs: number): void {
    for (const [version, retryAtMs] of this.#lost) {
      if (nowMs >= retryAtMs) this.#lost.delete(version);
    }
  }
}
