/** Waiting that can be cut short, for everybody who waits at once. */
export class Pause {
  readonly #sleepers = new Set<() => void>();

  /** Resolves after `ms` milliseconds, or at the next `wake`. */
  async wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleepers.add(wake);
    });
  }

  wake(): void {
    for (const wake of [...this.#sleepers]) wake();
  }
}
