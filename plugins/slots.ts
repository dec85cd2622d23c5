/** How much of what costs memory as long as it runs the plugins of one worker may do at once, all uses of them together. */
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
