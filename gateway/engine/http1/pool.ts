/** Connections of one peer that wait for a request: a stack, so that the warmest is used first. */
export class Pool<T> {
  readonly #idle: T[] = [];

  take(): T | undefined {
    return this.#idle.pop();
  }

  /** False when the pool is full. */
  put(connection: T, limit: number): boolean {
    if (this.#idle.length >= limit) return false;
    this.#idle.push(connection);
    return true;
  }

  remove(connection: T): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  /** Empties the pool and returns what was in it. */
  clear(): readonly T[] {
    return this.#idle.splice(0);
  }
}
