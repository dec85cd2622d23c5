import { expect } from "chai";
import type { PeerFinding, Served } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import { ManualClock } from "../fixtures/clock.ts";
import { PeerHealthBook } from "./peer-health.ts";

const address = "10.0.0.1:80";

describe("the health of peers", () => {
  let clock: ManualClock;
  let served: Served[];
  let lines: string[];
  let book: PeerHealthBook;

  beforeEach(() => {
    clock = new ManualClock();
    served = [];
    lines = [];
    const note = (_fields: object, message: string) => lines.push(message);
    const log = { debug: note, info: note, warn: note, error: note } as unknown as Log;
    book = new PeerHealthBook({ serve: (changes) => served.push(...changes), clock, log });
  });

  const finding = (code: PeerFinding["code"], upstream: string | null = null): PeerFinding => ({
    ...{ address, upstream, code, message: "m" },
    ...{ forMs: code === "recovered" ? 0 : 10_000, maxForMs: 25_000 },
  });
  const untilMs = () => book.of(address)?.reasons[0]?.untilMs ?? null;

  it("is the worst of what is said, and nothing is left when all is taken back", () => {
    book.claim(address, { source: "check", upstream: "a" }, { code: "check_failed", message: "x" });
    book.claim(address, { source: "admin", upstream: null }, { code: "drained", message: "by me" });
    expect(book.of(address)).to.include({ state: "err" });
    expect(book.of(address)?.reasons.map(({ code }) => code)).to.deep.equal([
      "check_failed",
      "drained",
    ]);
    book.claim(address, { source: "check", upstream: "a" }, null);
    expect(book.of(address)?.state).to.equal("err");
    book.claim(address, { source: "admin", upstream: null }, null);
    expect(book.of(address)).to.equal(null);
    expect(served.at(-1)).to.deep.equal({ kind: "health", key: address, value: null });
  });

  it("makes one record of each change, and neither a record nor a version of what is no change", () => {
    const claimant = { source: "check", upstream: "a" } as const;
    book.claim(address, claimant, null);
    for (let at = 0; at < 5; at += 1)
      book.claim(address, claimant, { code: "check_failed", message: "refused" });
    book.claim(address, claimant, null);
    book.claim(address, claimant, null);
    expect(served).to.have.length(2);
    expect(lines).to.deep.equal([
      `peer ${address} of upstream a is err (was ok): check_failed: refused`,
      `peer ${address} of upstream a is ok (was err): no longer check_failed`,
    ]);
  });

  it("keeps the time of the last change of state", () => {
    book.claim(address, { source: "check", upstream: "a" }, { code: "check_failed", message: "x" });
    const since = book.of(address)?.sinceMs;
    clock.advance(500);
    book.claim(address, { source: "check", upstream: "b" }, { code: "check_failed", message: "x" });
    expect(book.of(address)?.sinceMs).to.equal(since);
  });

  it("lets a peer prove itself after its time, and takes what workers met back when one says so", () => {
    book.take(finding("max_fails"));
    expect(book.of(address)?.state).to.equal("err");
    clock.advance(9_999);
    expect(book.of(address)?.state).to.equal("err");
    clock.advance(1);
    expect(book.of(address)?.reasons[0]).to.include({ code: "recovering", untilMs: null });
    expect(book.of(address)?.state).to.equal("unstable");
    book.take(finding("recovered"));
    expect(book.of(address)).to.equal(null);
  });

  it("takes the same finding of several workers for one", () => {
    book.take(finding("consecutive_failures"));
    const first = untilMs();
    clock.advance(20);
    book.take(finding("consecutive_failures"));
    expect(untilMs()).to.equal(first);
    expect(lines).to.have.length(1);
  });

  it("has a peer out for longer each time in a row, up to a limit, and forgives after a while", () => {
    const lengths: number[] = [];
    for (let at = 0; at < 4; at += 1) {
      book.take(finding("success_rate", "a"));
      const length = (untilMs() ?? 0) - clock.now();
      lengths.push(length);
      clock.advance(length);
    }
    expect(lengths).to.deep.equal([10_000, 20_000, 25_000, 25_000]);
    book.take(finding("recovered", "a"));
    clock.advance(80_000);
    book.take(finding("success_rate", "a"));
    expect((untilMs() ?? 0) - clock.now()).to.equal(10_000);
  });

  it("forgets addresses that nobody names, but not what an operator said", () => {
    book.take(finding("max_fails"));
    book.claim(
      "10.0.0.2:80",
      { source: "admin", upstream: null },
      { code: "drained", message: "" },
    );
    book.keep(() => false);
    expect(book.of(address)).to.equal(null);
    expect(book.of("10.0.0.2:80")?.state).to.equal("err");
    clock.advance(100_000);
    book.keep(() => false);
    expect(book.size).to.equal(1);
    expect(clock.pending).to.equal(0);
  });
});
