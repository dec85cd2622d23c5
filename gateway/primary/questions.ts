/**
 * Questions to workers: sends each with a number, gives the answer to whoever asked, and says why there is
 * none when a worker is slow, has ended or has too many open. Sends messages through functions that it is given.
 */
import type { Answered, Asked, Question, QuestionName, ToPrimary } from "../model/index.ts";
import type { Clock } from "./clock.ts";

/** Whom a question goes to. */
export interface Askable {
  readonly id: number;
  readonly pid: number;
  send(message: Question): void;
}

/** Why there is no answer; the reason of `failed` is the worker's. */
export type NoAnswer = "late" | "ended" | "busy" | `failed: ${string}`;

export interface Reply<N extends QuestionName> {
  readonly worker: number;
  readonly pid: number;
  readonly answer: Answered<N>;
}

export interface Unanswered {
  readonly worker: number;
  readonly pid: number;
  readonly why: NoAnswer;
}

/** The result of one question; each worker that was asked is in one of the two. */
export interface Replies<N extends QuestionName> {
  readonly replies: readonly Reply<N>[];
  readonly unanswered: readonly Unanswered[];
}

/** Default deadline of a question. */
const deadlineMs = 1_000;
/**
 * Questions that one worker may have unanswered. One that stands still reads nothing, and what is sent to it
 * piles up here, so a question counts until it is answered or the worker has gone, not until its deadline.
 */
const maxOpen = 32;

type Settle = (outcome: { readonly answer: unknown } | { readonly why: NoAnswer }) => void;

export class Questions {
  readonly #clock: Clock;
  /** By worker and by number: whoever waits, or `null` when the deadline has passed. */
  readonly #open = new Map<number, Map<number, Settle | null>>();
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when all have answered, at the latest after `withinMs`; never rejects. */
  async ask<N extends QuestionName>(
    workers: readonly Askable[],
    name: N,
    asked: Asked<N>,
    withinMs: number = deadlineMs,
  ): Promise<Replies<N>> {
    const replies: Reply<N>[] = [];
    const unanswered: Unanswered[] = [];
    await Promise.all(
      workers.map(async (worker) => {
        const { id, pid } = worker;
        const outcome = await this.#put(worker, name, asked, withinMs);
        if ("why" in outcome) unanswered.push({ worker: id, pid, why: outcome.why });
        // A worker answers what it was asked: the table in `messages.ts` holds both to one type.
        else replies.push({ worker: id, pid, answer: outcome.answer as Answered<N> });
      }),
    );
    const byWorker = (a: { readonly worker: number }, b: { readonly worker: number }) =>
      a.worker - b.worker;
    return { replies: replies.sort(byWorker), unanswered: unanswered.sort(byWorker) };
  }

  /** An answer has come. One that nobody waits for any more only makes room. */
  take(
    worker: number,
    message: Extract<ToPrimary, { readonly type: "answer" | "noAnswer" }>,
  ): void {
    const open = this.#open.get(worker);
    const settle = open?.get(message.id);
    open?.delete(message.id);
    if (message.type === "answer") settle?.({ answer: message.answer });
    else settle?.({ why: `failed: ${message.reason}` });
  }

  /** This worker will not answer any more. */
  left(worker: number): void {
    const open = this.#open.get(worker);
    this.#open.delete(worker);
    for (const settle of open?.values() ?? []) settle?.({ why: "ended" });
  }

  #put<N extends QuestionName>(worker: Askable, name: N, asked: Asked<N>, withinMs: number) {
    const { promise, resolve } = Promise.withResolvers<Parameters<Settle>[0]>();
    const open = this.#open.get(worker.id) ?? new Map<number, Settle | null>();
    this.#open.set(worker.id, open);
    if (open.size >= maxOpen) {
      resolve({ why: "busy" });
      return promise;
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const cancel = this.#clock.after(withinMs, () => {
      open.set(id, null);
      resolve({ why: "late" });
    });
    open.set(id, (outcome) => {
      cancel();
      resolve(outcome);
    });
    worker.send({ type: "question", id, name, asked } as Question);
    return promise;
  }
}
