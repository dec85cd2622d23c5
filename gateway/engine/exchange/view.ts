/**
 * What a handler sees of an exchange, and the exchange's record. It reads and changes the heads; calls that move
 * the exchange on go to the exchange.
 */
import type { Clock } from "../clock.ts";
import type { Answer, Exchange } from "../engine.ts";
import type { FieldLines } from "../message/field-lines.ts";
import type { RequestHead } from "../message/request-head.ts";
import type { RequestTarget } from "../message/request-target.ts";
import type { ResponseHead } from "../message/response-head.ts";
import type { Peer } from "../peer.ts";
import type { BodyTap } from "../tap.ts";
import type { Target } from "../target.ts";
import type { ClientTls } from "../tls.ts";
import type { Downstream } from "./ports.ts";
import type { Tries } from "./tries.ts";

/** What a handler can have the exchange do; see `Exchange`. */
export type Moves = Pick<
  Exchange<unknown>,
  | "answer"
  | "fail"
  | "hold"
  | "resume"
  | "replaceAnswer"
  | "tryAgain"
  | "tapRequest"
  | "tapAnswer"
  | "isAnswerTapped"
>;

/** What a view needs from the engine. */
interface Surroundings {
  readonly clock: Pick<Clock, "now">;
  readonly nextId: () => string;
}

type Client = Pick<Downstream, "scheme" | "address" | "listener" | "tls">;

export class ExchangeView<C> implements Exchange<C> {
  context: C | null = null;
  serial = 0;
  status = 0;
  errorCode = "";
  startedAtMs = 0;
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  trailers: ReadonlySet<string> | null = null;
  sentAuthority = "";
  /** Whether there is an answer's head to look at. */
  hasAnswer = false;
  readonly #core: Surroundings;
  readonly #downstream: Client;
  readonly #head: RequestHead;
  readonly #answerHead: ResponseHead;
  readonly #target: RequestTarget;
  readonly #tries: Tries;
  readonly #moves: Moves;
  #id = "";

  constructor(
    core: Surroundings,
    downstream: Client,
    head: RequestHead,
    answerHead: ResponseHead,
    target: RequestTarget,
    tries: Tries,
    moves: Moves,
  ) {
    this.#core = core;
    this.#downstream = downstream;
    this.#head = head;
    this.#answerHead = answerHead;
    this.#target = target;
    this.#tries = tries;
    this.#moves = moves;
  }

  /** Begins another request, of whose body `bytesIn` bytes have come. */
  begin(bytesIn: number): void {
    this.serial += 1;
    this.context = null;
    this.status = 0;
    this.errorCode = "";
    this.startedAtMs = this.#core.clock.now();
    this.durationMs = 0;
    this.bytesIn = bytesIn;
    this.bytesOut = 0;
    this.trailers = null;
    this.sentAuthority = "";
    this.hasAnswer = false;
    this.#id = "";
  }

  get id(): string {
    if (this.#id === "") {
      const given = this.#head.requestId;
      const isKept = this.#head.proxy !== null && given !== "" && given.length <= 128;
      this.#id = isKept ? given : this.#core.nextId();
    }
    return this.#id;
  }

  get method(): string {
    return this.#head.method;
  }

  get scheme(): "http" | "https" {
    return this.#head.story?.scheme ?? this.#downstream.scheme;
  }

  get clientAddress(): string {
    return this.#head.story?.address ?? this.#downstream.address;
  }

  get proxyAddress(): string {
    return this.#head.proxy?.address ?? "";
  }

  get tls(): ClientTls | null {
    return this.#downstream.tls;
  }

  get listener(): number {
    return this.#downstream.listener;
  }

  get authority(): string {
    return this.#target.authority;
  }

  set authority(value: string) {
    this.#target.authority = value;
  }

  get host(): string {
    return this.#target.host;
  }

  get path(): string {
    return this.#target.path;
  }

  set path(value: string) {
    this.#target.path = value;
  }

  get rawPath(): string {
    return this.#target.rawPath;
  }

  get hasEncodedSlash(): boolean {
    return this.#target.hasEncodedSlash;
  }

  get query(): string {
    return this.#target.query;
  }

  set query(value: string) {
    this.#target.query = value;
  }

  get hasBody(): boolean {
    return this.#head.hasBody;
  }

  get rawHeaders(): string {
    return this.#head.fields.raw;
  }

  get headerLines(): string {
    return this.#head.fields.lines;
  }

  header(name: string): string | undefined {
    return this.#head.fields.get(name);
  }

  setHeader(name: string, value: string): void {
    this.#head.fields.set(name, value);
  }

  removeHeader(name: string): void {
    this.#head.fields.remove(name);
  }

  get target(): Target | null {
    return this.#tries.target;
  }

  get peer(): Peer | null {
    return this.#tries.target?.peer ?? null;
  }

  get tries(): number {
    return this.#tries.count;
  }

  get triesSent(): number {
    return this.#tries.sent;
  }

  tried(peer: Peer): boolean {
    return this.#tries.has(peer);
  }

  /** `null` before there is an answer, and after it was dropped. */
  get #answerFields(): FieldLines | null {
    return this.hasAnswer ? this.#answerHead.fields : null;
  }

  get responseHeaderLines(): string {
    return this.#answerFields?.lines ?? "";
  }

  responseHeader(name: string): string | undefined {
    return this.#answerFields?.get(name);
  }

  setResponseHeader(name: string, value: string): void {
    this.#answerFields?.set(name, value);
  }

  addResponseHeader(name: string, value: string): void {
    this.#answerFields?.add(name, value);
  }

  removeResponseHeader(name: string): void {
    this.#answerFields?.remove(name);
  }

  answer(answer: Answer): void {
    this.#moves.answer(answer);
  }

  fail(
    status: number,
    code: string,
    message: string,
    headers?: Readonly<Record<string, string>>,
  ): void {
    this.#moves.fail(status, code, message, headers);
  }

  hold(): void {
    this.#moves.hold();
  }

  resume(): void {
    this.#moves.resume();
  }

  replaceAnswer(answer: Answer): void {
    this.#moves.replaceAnswer(answer);
  }

  tryAgain(): boolean {
    return this.#moves.tryAgain();
  }

  tapRequest(tap: BodyTap): void {
    this.#moves.tapRequest(tap);
  }

  tapAnswer(tap: BodyTap): void {
    this.#moves.tapAnswer(tap);
  }

  get isAnswerTapped(): boolean {
    return this.#moves.isAnswerTapped;
  }
}
