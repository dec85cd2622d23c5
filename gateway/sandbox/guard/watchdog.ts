/**
 * Ends calls that run too long. A time limit of isolated-vm's own starts a timer for every call, which
 * costs as much as the call itself; here one thread looks, a few times within the limit, whether the
 * process is still inside the same call, and disposes of that isolate if it is and has had the processor
 * for so long. It cannot end what V8 does not interrupt: that is the stall guard's.
 */
import ivm from "isolated-vm";
import { wallFactor } from "../limits.ts";
import { type CallMarker, questions } from "./call-marker.ts";

/**
 * The code of the thread: an isolate of its own, run off the main thread, since only an isolate can
 * hold another one's handle. It looks at the numbers of `call-marker.ts` and at `$1`, how it is told to stop.
 */
const code = `
  const marks = new Int32Array($0);
  const control = new Int32Array($1);
  const { answersCell, nobody, somebody } = JSON.parse($2);
  const { askedCell, answeredCell, ranCell, unitsPerMs } = JSON.parse($2);
  const wards = new Map();
  let asked = 0;
  let isOpen = false;
  // The processor time of the thread; null when no answer comes in time. The next look uses a late answer.
  const ask = (patienceMs) => {
    if (!isOpen) asked = (Atomics.add(marks, askedCell, 1) + 1) | 0;
    if (!isOpen) Atomics.notify(marks, askedCell);
    const answered = Atomics.load(marks, answeredCell);
    if (answered !== asked) Atomics.wait(marks, answeredCell, answered, patienceMs);
    isOpen = Atomics.load(marks, answeredCell) !== asked;
    return isOpen ? null : Atomics.load(marks, ranCell);
  };
  return {
    exchange(number, isolate, looks, gone) {
      for (const each of gone.split(" ")) wards.delete(Number(each));
      wards.set(number, { isolate, looks });
    },
    // For its caller to wait until watch has returned: an isolate does one thing at a time.
    idle() {},
    watch(tickMs, quietLooks, wallFactor) {
      let seen = -1;
      let times = 0;
      // How many looks at this stay got no answer about the processor time of the thread.
      let silent = 0;
      let ranBefore = null;
      for (;;) {
        if (Atomics.load(control, 0) === 1) return;
        if (times >= quietLooks && Atomics.load(marks, 0) === 0) {
          Atomics.store(control, 1, 1);
          if (Atomics.load(marks, 1) === seen) return;
          // A stay began before it was said that nobody looks.
          Atomics.store(control, 1, 0);
        }
        Atomics.wait(control, 0, 0, tickMs);
        const number = Atomics.load(marks, 0);
        const stay = Atomics.load(marks, 1);
        if (stay !== seen) {
          seen = stay;
          times = 0;
          silent = 0;
          ranBefore = null;
          isOpen = false;
          continue;
        }
        // Looks are counted, not time: a process that had to wait for its turn has not run too long.
        times += 1;
        const ward = wards.get(number);
        if (ward === undefined) continue;
        // A thread that had to wait for its turn while this one looked has not run too long either.
        const answers = Atomics.load(marks, answersCell);
        if (ranBefore === null && answers === somebody) ranBefore = ask(tickMs);
        if (times < ward.looks) continue;
        if (answers !== nobody) {
          const ran = ranBefore === null || answers !== somebody ? null : ask(tickMs);
          if (ran === null) {
            silent += 1;
            if (silent < (wallFactor - 1) * ward.looks) continue;
          } else if (((ran - ranBefore) | 0) / unitsPerMs < (ward.looks - 1) * tickMs) continue;
        }
        ward.isolate.dispose();
        wards.delete(number);
      }
    },
  };`;

const looksPerLimit = 4;
const minTickMs = 1;
const maxTickMs = 50;
/** The thread ends after so long without a call and starts again with the next one: it keeps the process alive. */
const quietMs = 500;
const memoryMb = 8;

type Entry = ivm.Reference<unknown>;

export class Watchdog {
  readonly #marker: CallMarker;
  /** Whether to stop; whether the thread has ended by itself. */
  readonly #control = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  readonly #tickMs: number;
  readonly #looks: number;
  readonly #onExit = () => this.dispose();
  #thread: { isolate: ivm.Isolate; exchange: Entry; idle: Entry; watch: Entry } | null = null;
  #gone = "";

  /**
   * A call is ended when it has had the processor for between `limitMs` and a quarter more, however long that
   * takes. Where the system does not count processor time, the clock on the wall decides with the same limit; where it
   * counts but no answer comes, with `wallFactor` times the limit.
   */
  constructor(marker: CallMarker, limitMs: number) {
    this.#marker = marker;
    this.#tickMs = Math.min(maxTickMs, Math.max(minTickMs, limitMs / looksPerLimit));
    this.#looks = Math.max(1, Math.ceil(limitMs / this.#tickMs));
  }

  /** False when the thread has ended because nobody called. Only tests ask: the next call starts another one. */
  get isWatching(): boolean {
    return this.#thread !== null && Atomics.load(this.#control, 1) === 0;
  }

  start(): void {
    this.#thread ??= this.#start();
  }

  /**
   * From now on a stay under `number` that is too long costs `isolate` its life.
   * @param factor how many times as long as the limit it may be.
   */
  guard(number: number, isolate: ivm.Isolate, factor = 1): void {
    const { exchange } = this.#stopped();
    exchange.applySync(undefined, [number, isolate, factor * this.#looks, this.#gone]);
    this.#gone = "";
    Atomics.store(this.#control, 0, 0);
    this.#watch();
  }

  release(number: number): void {
    this.#gone += ` ${number}`;
  }

  /** Call it at the start of every stay, after it was counted. */
  wake(): void {
    if (Atomics.load(this.#control, 1) === 1) this.#watch();
  }

  dispose(): void {
    if (this.#thread === null) return;
    // A process that exits while the thread runs code would crash.
    this.#stopped().isolate.dispose();
    this.#thread = null;
    process.removeListener("exit", this.#onExit);
  }

  #watch(): void {
    Atomics.store(this.#control, 1, 0);
    const quietLooks = Math.ceil(quietMs / this.#tickMs);
    this.#thread?.watch.applyIgnored(undefined, [this.#tickMs, quietLooks, wallFactor]);
  }

  /** Waits, some microseconds, until the thread has stopped. */
  #stopped() {
    this.#thread ??= this.#start();
    Atomics.store(this.#control, 0, 1);
    Atomics.notify(this.#control, 0);
    this.#thread.idle.applySync();
    return this.#thread;
  }

  #start() {
    const isolate = new ivm.Isolate({ memoryLimit: memoryMb });
    const context = isolate.createContextSync();
    const shared = [this.#marker.cells.buffer, this.#control.buffer].map((buffer) =>
      new ivm.ExternalCopy(buffer).copyInto(),
    );
    const values = [...shared, JSON.stringify(questions)];
    const inside: ivm.Reference<Record<string, unknown>> = context.evalClosureSync(code, values, {
      result: { reference: true },
    });
    const entry = (name: string): Entry => inside.getSync(name, { reference: true });
    process.once("exit", this.#onExit);
    return { isolate, exchange: entry("exchange"), idle: entry("idle"), watch: entry("watch") };
  }
}
