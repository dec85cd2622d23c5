/** Exchanges whose wires and taps do whatever the ports allow, in any order, still end in good order. */
import { expect } from "chai";
import { seeded } from "../../../test/support/random.ts";
import type { BodyTap, TapOutput } from "../tap.ts";
import { Scene } from "./fixtures/scene.ts";

const walks = 1_000;
const steps = 40;

type Random = () => number;

/** Passes on what it gets, at once or later, and sometimes fails or says that it has no room. */
class MoodyTap implements BodyTap {
  readonly #random: Random;
  readonly #later: (() => void)[] = [];
  #out: TapOutput | null = null;
  #ends = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  begin(out: TapOutput): void {
    expect(this.#out, "begins once").to.equal(null);
    this.#out = out;
  }

  write(piece: Buffer): boolean {
    expect(this.#ends, "no piece after its end").to.equal(0);
    const pass = () => this.#out?.write(piece);
    if (this.#random() < 0.5) pass();
    else this.#later.push(pass);
    if (this.#random() < 0.7) return true;
    this.#later.push(() => this.#out?.resume());
    return false;
  }

  end(): void {
    this.#ends += 1;
    expect(this.#ends, "ends once").to.equal(1);
    this.#later.push(() => this.#out?.end());
  }

  onDrain(): void {}

  abort(): void {
    this.#ends += 1;
    expect(this.#ends, "is aborted once, and not after its end").to.be.below(3);
  }

  /** Does the next thing that it has put off. */
  step(): void {
    if (this.#random() < 0.02) this.#out?.fail(500, "moody", "no");
    this.#later.shift()?.();
  }
}

function walk(seed: number): Scene {
  const random = seeded(seed);
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const taps: MoodyTap[] = [];
  const tap = () => {
    const made = new MoodyTap(random);
    taps.push(made);
    return made;
  };
  const scene = new Scene({
    peers: 3,
    connections: one(["kept", "none", "none"]),
    target: { retries: { nonIdempotent: random() < 0.5, statuses: [] } },
    hooks: {
      onRequest(exchange) {
        const what = random();
        if (what < 0.2) exchange.hold();
        else if (what < 0.4) exchange.tapRequest(tap());
        else if (what < 0.45) exchange.answer({ status: 200, body: "x".repeat(one([0, 9, 9e3])) });
      },
      onResponse(exchange) {
        if (random() < 0.3) exchange.tapAnswer(tap());
        if (random() < 0.2) exchange.replaceAnswer({ status: 404, body: "none" });
        if (random() < 0.2) exchange.tryAgain();
      },
    },
  });
  const method = one(["GET", "PUT", "POST", "HEAD"]);
  const hasBody = method === "PUT" || method === "POST";
  const isWhole = hasBody && random() < 0.3;
  let isRead = !hasBody || isWhole;
  let answer: "none" | "head" | "whole" = "none";
  let stream = scene.stream;
  scene.request(
    `${method} /`,
    hasBody ? ["Content-Length: 900"] : [],
    isWhole ? Buffer.alloc(900) : null,
  );

  const client: readonly (() => void)[] = [
    () => !isRead && scene.data("x".repeat(one([1, 70_000]))),
    () => {
      if (!isRead) scene.exchange.onEnd("");
      isRead = true;
    },
    () => scene.drain(),
    () => {
      scene.downstream.hasRoom = random() < 0.5;
    },
    () => !isRead && random() < 0.1 && scene.exchange.onBroken(400, "bad_chunk", "no chunk"),
    () => random() < 0.1 && scene.gone(),
    () => scene.exchange.resume(),
    () => scene.advance(one([1, 1_000, 59_000])),
    () => taps.at(-1)?.step(),
    () => taps.at(-1)?.step(),
  ];
  const connecting: readonly (() => void)[] = [
    () => scene.connect(random() < 0.5),
    () => scene.noConnection({ code: one(["connect_failed", "queue_timeout"]), message: "no" }),
  ];
  const unanswered: readonly (() => void)[] = [
    () => scene.interim("103 Early Hints"),
    () => {
      answer = "whole";
      if (method === "HEAD") scene.bodiless(["200 OK", "Content-Length: 9"]);
      else scene.whole("fine");
    },
    () => {
      answer = "head";
      if (method !== "HEAD") scene.head();
    },
    () => scene.failed(one(["reset", "bad_response"])),
    () => scene.peerDrain(),
    () => {
      if (scene.stream !== null) scene.stream.hasRoom = random() < 0.5;
    },
  ];
  const answered: readonly (() => void)[] = [
    () => scene.answerData("y".repeat(one([1, 500]))),
    () => scene.answerEnd(),
    () => scene.failed(one(["reset", "bad_response"])),
    () => scene.peerDrain(),
  ];
  for (let step = 0; step < steps && !scene.isOver; step += 1) {
    if (scene.stream !== stream) {
      stream = scene.stream;
      answer = "none";
    }
    const events = [...client];
    if (scene.isWaiting) events.push(...connecting);
    else if (stream !== null && !stream.isOver) {
      if (answer === "none") events.push(...unanswered);
      else if (answer === "head" && method !== "HEAD") events.push(...answered);
    }
    one(events)();
  }
  // Deadlines end whatever is left undone.
  for (let n = 0; n < 500 && !scene.isOver; n += 1) {
    if (scene.isWaiting) scene.noConnection({ code: "queue_timeout", message: "late" });
    scene.exchange.resume();
    if (!scene.isOver) scene.advance(60_000);
  }
  return scene;
}

describe("an exchange that anything may happen to", () => {
  it(`ends once, and leaves nothing behind (${walks} walks)`, () => {
    const ends = new Map<string, number>();
    for (let seed = 1; seed <= walks; seed += 1) {
      let scene: Scene;
      try {
        scene = walk(seed);
        scene.expectSettled();
      } catch (error) {
        throw new Error(`walk ${seed}`, { cause: error });
      }
      const [end] = scene.outcomes;
      const kind = `${end?.status} ${end?.error}`;
      ends.set(kind, (ends.get(kind) ?? 0) + 1);
    }
    expect([...ends.keys()], "the walks come to ends of many kinds").to.include.members([
      "200 ",
      "404 ",
      "0 client_closed",
      "200 client_closed",
      "200 truncated",
      "200 tap_timeout",
      "400 bad_chunk",
      "408 body_timeout",
      "500 moody",
      "502 reset",
      "503 queue_timeout",
      "504 response_timeout",
    ]);
  });
});
