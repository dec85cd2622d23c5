/**
 * How many pieces of work that cost memory while they run the plugins of one worker may do at once, all uses
 * together.
 */
export class Slots {
  #left: number;

  constructor(most: number) {
    this.#left = most;
  }

  get areLeft(): boolean {
    return this.#left > 0;
  }

  take(): void {
    this.#left -= 1;
  }

  giveBack(): void {
    this.#left += 1;
  }
}
