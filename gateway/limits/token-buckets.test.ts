import { expect } from "chai";
import { leaseMs, TokenBuckets } from "./token-buckets.ts";

const ask = (key: string, perSecond: number, burst: number, wanted = 1) => ({
  limit: "hosts/a.example, plugin 1 (rateLimit)",
  key,
  perSecond,
  burst,
  wanted,
});

describe("TokenBuckets", () => {
  it("gives a burst, and then as many as the rate fills", () => {
    const buckets = new TokenBuckets(1);
    expect(buckets.take(ask("a", 2, 3, 5), 0)).to.deep.equal({ tokens: 3, waitMs: 500 });
    expect(buckets.take(ask("a", 2, 3), 400)).to.deep.equal({ tokens: 0, waitMs: 100 });
    expect(buckets.take(ask("a", 2, 3), 500)).to.deep.equal({ tokens: 1, waitMs: 500 });
    expect(buckets.take(ask("a", 2, 3, 9), 60_000)).to.deep.equal({ tokens: 3, waitMs: 500 });
  });

  it("counts each key by itself", () => {
    const buckets = new TokenBuckets(1);
    expect(buckets.take(ask("a", 1, 1), 0).tokens).to.equal(1);
    expect(buckets.take(ask("a", 1, 1), 0).tokens).to.equal(0);
    expect(buckets.take(ask("b", 1, 1), 0).tokens).to.equal(1);
  });

  it("gives more than is wanted in advance where the rate is high, by the shares of the workers", () => {
    const perSecond = 1_000;
    const advance = (perSecond * leaseMs) / 1_000;
    expect(new TokenBuckets(1).take(ask("a", perSecond, 1_000), 0).tokens).to.equal(advance);
    expect(new TokenBuckets(5).take(ask("a", perSecond, 1_000), 0).tokens).to.equal(advance / 5);
    expect(new TokenBuckets(5).take(ask("a", perSecond, 3), 0).tokens).to.equal(3);
  });

  it("never gives more than rate and burst, however it is asked", () => {
    const buckets = new TokenBuckets(4);
    let seed = 7;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    let given = 0;
    let nowMs = 0;
    while (nowMs < 10_000) {
      given += buckets.take(ask("a", 33, 20, 1 + Math.floor(random() * 5)), nowMs).tokens;
      nowMs += random() * 20;
    }
    expect(given).to.be.within(33 * 10, 33 * 10 + 20);
  });

  it("forgets whom it has not seen for long when there are very many, and nobody else", () => {
    const buckets = new TokenBuckets(1);
    const take = (key: string) => buckets.take(ask(key, 0.001, 1), 0).tokens;
    expect([take("early"), take("busy")]).to.deep.equal([1, 1]);
    for (let at = 0; at < 250_000; at += 1) {
      take(`flood ${at}`);
      if (at % 1_000 === 0) expect(take("busy")).to.equal(0);
    }
    expect(take("early")).to.equal(1);
  });
});
