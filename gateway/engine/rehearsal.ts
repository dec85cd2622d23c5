/**
 * A request that nobody sent and that goes nowhere, read and changed by the code for real requests. It shows what
 * would become of such a request. The handler's decision is recorded and not carried out.
 */
import { type Answer, defaultLimits, type EngineLimits, type Exchange } from "./engine.ts";
import { Tries } from "./exchange/tries.ts";
import { ExchangeView, type Moves } from "./exchange/view.ts";
import { answerFields } from "./message/answers.ts";
import type { Refusal } from "./message/grammar.ts";
import { RequestHead } from "./message/request-head.ts";
import { RequestTarget } from "./message/request-target.ts";
import { ResponseHead } from "./message/response-head.ts";

/** A request that nobody sends. */
export interface ImaginedRequest {
  readonly method: string;
  readonly scheme: "http" | "https";
  /** As in `Host`, with the port. */
  readonly authority: string;
  /** In origin form: path and query. */
  readonly target: string;
  /** All headers except `Host`. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly clientAddress: string;
  /** The number of the listener that the request would come in by. */
  readonly listener: number;
}

export interface RehearsalOptions extends ImaginedRequest {
  readonly limits: Partial<EngineLimits>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** What the handler has decided. */
export type Decision =
  | { readonly kind: "answer"; readonly answer: Answer }
  | ({ readonly kind: "fail"; readonly headers: Readonly<Record<string, string>> } & Refusal)
  | { readonly kind: "hold" };

export interface Rehearsal<C> {
  readonly exchange: Exchange<C>;
  /** The request's header lines as they are now. */
  readonly headerLines: string;
  /** `null`: the request would go on. */
  readonly decision: Decision | null;
}

/** Reads the request. Returns a `Refusal` when the engine itself would refuse it. */
export function rehearse<C>(options: RehearsalOptions): Rehearsal<C> | Refusal {
  const { method, scheme, authority, target, headers, clientAddress, listener, now } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const lines = [["Host", authority] as const, ...headers].map(
    ([name, value]) => `${name}: ${value}`,
  );
  const text = `${[`${method} ${target} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`;
  if (text.length > limits.maxHeadBytes) {
    const message = `the request's head is longer than ${limits.maxHeadBytes} bytes`;
    return { status: 431, code: "head_too_large", message };
  }
  const head = new RequestHead();
  const refusal = head.read(text, text.length, limits);
  if (refusal !== null) return refusal;
  const requestTarget = new RequestTarget("normal");
  requestTarget.begin(head.target, head.authority);
  const moves = new Noted();
  const view = new ExchangeView<C>(
    { clock: { now }, nextId: () => "explained" },
    { scheme, address: clientAddress, listener, tls: null },
    head,
    new ResponseHead(),
    requestTarget,
    new Tries(),
    moves,
  );
  view.begin(0);
  moves.onStatus = (status, code) => {
    view.status = status;
    view.errorCode = code;
  };
  return {
    exchange: view,
    get headerLines() {
      return head.fields.toString();
    },
    get decision() {
      return moves.decision;
    },
  };
}

class Noted implements Moves {
  readonly isAnswerTapped = false;
  decision: Decision | null = null;
  onStatus: (status: number, errorCode: string) => void = () => {};

  answer(answer: Answer): void {
    // Throws whatever a real exchange would throw.
    answerFields(answer);
    this.decision = { kind: "answer", answer };
    this.onStatus(answer.status, "");
  }

  fail(
    status: number,
    code: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    this.decision = { kind: "fail", status, code, message, headers };
    this.onStatus(status, code);
  }

  hold(): void {
    this.decision = { kind: "hold" };
  }

  /** Does nothing: nothing waits in a rehearsal. */
  resume(): void {}
  replaceAnswer(): void {}
  tryAgain(): boolean {
    return false;
  }
  tapRequest(): void {}
  tapAnswer(): void {}
}
