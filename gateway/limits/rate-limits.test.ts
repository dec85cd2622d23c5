import { expect } from "chai";
import type { TokenAsk } from "../model/index.ts";
import { RateLimits } from "./rate-limits.ts";
import { TokenBuckets } from "./token-buckets.ts";

/** Several workers with one clock. One set of buckets answers their asks, in the order in which they were sent. */
class Gateway {
  nowMs = 0;
  sent = 0;
  isDead = false;
  /** What the primary was asked while it did not read; the channel keeps it. */
  readonly #unread: (() => void)[] = [];
  readonly warnings: string[] = [];
  readonly #buckets: TokenBuckets;
  readonly workers: readonly RateLimits[];

  constructor(workers: number) {
    this.#buckets = new TokenBuckets(workers);
    this.workers = Array.from({ length: workers }, () => {
      const limits: RateLimits = new RateLimits({
        now: () => this.nowMs,
        log: { warn: (_fields, message) => this.warnings.push(message) },
        send: (batch, asks) => this.#answer(limits, batch, asks),
      });
      return limits;
    });
  }

  #answer(limits: RateLimits, batch: number, asks: readonly TokenAsk[]): void {
    this.sent += 1;
    const answer = () =>
      limits.onGrants(
        batch,
        asks.map((ask) => this.#buckets.take(ask, this.nowMs)),
      );
    if (this.isDead) this.#unread.push(answer);
    else setImmediate(answer);
  }

  wake(): void {
    this.isDead = false;
    for (const answer of this.#unread.splice(0)) answer();
  }
}

type Limit = ReturnType<RateLimits["limit"]>;

/** The final word on a request for `key`. */
async function request(limit: Limit, key: string): Promise<number> {
  const waitMs = limit.take(key);
  if (waitMs >= 0) return waitMs;
  return new Promise((resolve) => limit.ask(key, resolve));
}

describe("RateLimits", () => {
  it("lets no more through than rate and burst over all workers together", async () => {
    const gateway = new Gateway(3);
    const limits = gateway.workers.map((worker) => worker.limit("a", { perSecond: 50, burst: 10 }));
    let passed = 0;
    let refused = 0;
    for (; gateway.nowMs < 4_000; gateway.nowMs += 5) {
      const answers = await Promise.all(limits.map((limit) => request(limit, "client")));
      passed += answers.filter((waitMs) => waitMs === 0).length;
      refused += answers.filter((waitMs) => waitMs > 0).length;
    }
    expect(passed + refused).to.equal(3 * 800);
    // Each worker may hold one token that it does not need.
    expect(passed).to.be.within(4 * 50 - 3, 4 * 50 + 10);
  });

  it("lets a whole burst through that comes to one worker at once", async () => {
    const gateway = new Gateway(4);
    const [worker] = gateway.workers;
    const limit = worker?.limit("a", { perSecond: 1, burst: 100 });
    if (limit === undefined) throw new Error("there is a worker");
    const answers = await Promise.all(Array.from({ length: 150 }, () => request(limit, "client")));
    expect(answers.filter((waitMs) => waitMs === 0)).to.have.lengthOf(100);
    expect(answers.filter((waitMs) => waitMs === 1_000)).to.have.lengthOf(50);
  });

  it("asks nothing for a client that has been refused until there is a token again", async () => {
    const gateway = new Gateway(1);
    const limit = gateway.workers[0]?.limit("a", { perSecond: 1, burst: 1 });
    if (limit === undefined) throw new Error("there is a worker");
    expect(await request(limit, "client")).to.equal(0);
    const { sent } = gateway;
    for (let at = 0; at < 1_000; at += 1) expect(limit.take("client")).to.equal(1_000);
    expect(gateway.sent).to.equal(sent);
    gateway.nowMs += 1_000;
    expect(await request(limit, "client")).to.equal(0);
  });

  it("seldom asks where the rate is high", async () => {
    const gateway = new Gateway(1);
    const limit = gateway.workers[0]?.limit("a", { perSecond: 10_000, burst: 10_000 });
    if (limit === undefined) throw new Error("there is a worker");
    for (let at = 0; at < 10_000; at += 1) {
      expect(await request(limit, "client")).to.equal(0);
      gateway.nowMs += 0.1;
    }
    expect(gateway.sent).to.be.below(100);
  });

  it("counts by itself, and says so once, when the primary does not answer", async () => {
    const gateway = new Gateway(1);
    gateway.isDead = true;
    const limit = gateway.workers[0]?.limit("a", { perSecond: 1, burst: 2 });
    if (limit === undefined) throw new Error("there is a worker");
    const waits = Promise.all(Array.from({ length: 5 }, () => request(limit, "client")));
    const timer = setInterval(() => {
      gateway.nowMs += 100;
    }, 10);
    const answers = await waits;
    clearInterval(timer);
    expect(answers.filter((waitMs) => waitMs === 0)).to.have.lengthOf(2);
    expect(gateway.warnings).to.have.lengthOf(1);
  });

  it("remembers so many keys of all limits together, those asked for last", async () => {
    const gateway = new Gateway(1);
    const limit = (name: string) => gateway.workers[0]?.limit(name, { perSecond: 0.001, burst: 1 });
    const [one, ...others] = Array.from({ length: 7 }, (_, at) => limit(`limit ${at}`));
    if (one === undefined) throw new Error("there is a worker");
    for (const key of ["early", "busy"]) expect(await request(one, key)).to.equal(0);
    expect(one.take("early")).to.be.above(0);
    for (const other of others) {
      if (other === undefined) continue;
      for (let round = 0; round < 20; round += 1) {
        const flood = Array.from({ length: 1_000 }, (_, at) => request(other, `${round} ${at}`));
        expect(new Set(await Promise.all(flood))).to.deep.equal(new Set([0]));
        expect(one.take("busy")).to.be.above(0);
      }
    }
    // The worker has forgotten it, but the primary has not.
    expect(one.take("early")).to.equal(-1);
    expect(await request(one, "early")).to.be.above(0);
  });

  it("keeps no request waiting for a silent primary, and sends it nothing, until it is back", async () => {
    const gateway = new Gateway(1);
    gateway.isDead = true;
    const limit = gateway.workers[0]?.limit("a", { perSecond: 1, burst: 1 });
    if (limit === undefined) throw new Error("there is a worker");
    const timer = setInterval(() => {
      gateway.nowMs += 100;
    }, 10);
    expect(await request(limit, "first")).to.equal(0);
    clearInterval(timer);
    const { sent } = gateway;
    for (let at = 0; at < 1_000; at += 1) {
      expect(limit.take(`stranger ${at}`)).to.equal(0);
      expect(limit.take(`stranger ${at}`)).to.equal(1_000);
    }
    expect(gateway.sent).to.equal(sent);
    gateway.wake();
    expect(limit.take("another")).to.equal(-1);
    expect(await request(limit, "another")).to.equal(0);
    expect(gateway.sent).to.equal(sent + 1);
  });
});
