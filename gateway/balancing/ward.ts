/** What the slots of one upstream have in common: which of them may be picked, and which need a look before. */

/** The mark of a slot that may be picked. */
export const markWell = 0;
/** The mark of a slot that is not well: it needs a look. */
export const markUnwell = 1;
/** The mark of a slot that is out or full. It needs no look until there is news of it, or its time comes. */
export const markOut = 2;

export class Ward {
  /** The upstream's name: some health reasons apply to one upstream only. */
  readonly name: string;
  /**
   * The upstream or service that this one is a part of, such as the service of a tag's upstream. Reasons for the
   * whole apply to the part too.
   */
  readonly whole: string;
  /** How many of its slots are unwell. */
  unwell = 0;
  /** By slot index. */
  #marks = new Uint8Array(0);
  /** By slot index: how long `markOut` holds without news, in monotonic milliseconds. */
  #outUntilMs = new Float64Array(0);
  /** When the first of those times comes; a double from the start. */
  #nextLookMs = Number.POSITIVE_INFINITY;
  /** Changes whenever a mark changes. */
  revision = 0;
  #toLookAt = new Int32Array(0);
  #toLookAtRevision = 0;
  /** Whether the load from other workers matters in this upstream. */
  sharesLoad = false;

  constructor(name: string, whole: string) {
    this.name = name;
    this.whole = whole;
  }

  /** Call it before any slot enters. */
  makeRoom(count: number): void {
    this.#marks = new Uint8Array(count);
    this.#outUntilMs = new Float64Array(count);
  }

  get marks(): Uint8Array {
    return this.#marks;
  }

  /** The indexes of the slots that need a look, in ascending order. */
  get toLookAt(): Int32Array {
    if (this.#toLookAtRevision !== this.revision) {
      this.#toLookAtRevision = this.revision;
      const found: number[] = [];
      const marks = this.#marks;
      for (let at = 0; at < marks.length; at += 1) if (marks[at] === markUnwell) found.push(at);
      this.#toLookAt = Int32Array.from(found);
    }
    return this.#toLookAt;
  }

  /** There is news of a slot. */
  mark(index: number, mark: number): void {
    this.#outUntilMs[index] = Number.POSITIVE_INFINITY;
    if (this.#marks[index] === mark) return;
    this.#marks[index] = mark;
    this.revision += 1;
  }

  /** A look has shown that a slot is out until then, unless there is news of it. */
  keepOut(index: number, untilMs: number): void {
    this.mark(index, markOut);
    this.#outUntilMs[index] = untilMs;
    this.#nextLookMs = Math.min(this.#nextLookMs, untilMs);
  }

  /** Call it before each choice: slots whose time has come need a look again. */
  passTime(nowMs: number): void {
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#marks.length; at += 1) {
      const untilMs = this.#outUntilMs[at] ?? 0;
      if (this.#marks[at] !== markOut) continue;
      if (untilMs <= nowMs) this.mark(at, markUnwell);
      else this.#nextLookMs = Math.min(this.#nextLookMs, untilMs);
    }
  }
}
