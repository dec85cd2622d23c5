/** Requests that the demo makes of its own parts, and waiting until they answer as they should. */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** A machine on which all parts begin at once may be slow to answer. */
const requestTimeoutMs = 10_000;
const pauseMs = 50;

export interface Question {
  readonly url: string;
  /** Default GET. */
  readonly method?: string;
  /** The `Host` to ask for; default the URL's. */
  readonly host?: string;
  readonly body?: string;
}

/**
 * The status of the answer. Rejects with the socket's error, or after ten seconds without an answer.
 * By `node:http`, because `fetch` has no say over `Host`.
 */
export function ask(question: Question): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const outgoing = request(
    question.url,
    {
      method: question.method ?? "GET",
      headers: question.host === undefined ? {} : { host: question.host },
      agent: false,
      signal: AbortSignal.timeout(requestTimeoutMs),
    },
    (answer) => {
      answer.resume();
      answer.once("error", reject);
      answer.once("end", () => resolve(answer.statusCode ?? 0));
    },
  );
  outgoing.once("error", reject);
  outgoing.end(question.body);
  return promise;
}

/**
 * Asks again and again until the status is one of `expected`. Rejects after `deadlineMs` with what was
 * seen last, and at once when `signal` is aborted.
 */
export async function askUntil(
  question: Question,
  isRight: (status: number) => boolean,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    signal.throwIfAborted();
    const seen = await ask(question).then(
      (status) => (isRight(status) ? null : `status ${status}`),
      (error: Error) => error.message,
    );
    if (seen === null) return;
    if (performance.now() > deadline) {
      const { method = "GET", host, url } = question;
      const asked = host === undefined ? url : `${url} for ${host}`;
      throw new Error(`${method} ${asked} does not answer as it should: ${seen}`);
    }
    await sleep(pauseMs, undefined, { signal });
  }
}
