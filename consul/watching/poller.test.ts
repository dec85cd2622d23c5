import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { Poller } from "./poller.ts";

/** Lets promises that are settled run their course. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a poller", () => {
  let clock: ManualClock;
  let asked: string[];
  let poller: Poller;
  const open = (
    poll: (key: string, signal: AbortSignal) => Promise<void> = async () => {},
    toldSince: () => number | null = () => null,
  ) => {
    clock = new ManualClock();
    asked = [];
    poller = new Poller({
      clock,
      toldSince,
      random: () => 1,
      poll: (key, signal) => {
        asked.push(key);
        return poll(key, signal);
      },
    });
  };
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 20) {
      clock.advance(20);
      await turn();
    }
  };
  afterEach(async () => {
    await poller.stop();
    expect(clock.pending).to.equal(0);
  });

  it("asks at once for what nobody has asked for, and then in turn, at most 50 a second", async () => {
    open();
    const keys = Array.from({ length: 120 }, (_, at) => `k${at}`);
    for (const key of keys) poller.add(key);
    await pass(500);
    expect(asked).to.deep.equal(keys);
    await pass(2_000);
    expect(asked.length).to.be.within(120 + 70, 120 + 100);
    expect(asked.slice(120, 122)).to.deep.equal(["k0", "k1"]);
  });

  it("asks for a key once a second at most", async () => {
    open();
    poller.add("a");
    await pass(3_100);
    expect(asked.length).to.be.within(3, 4);
  });

  it("asks for the urgent first, and for however many of them at a bounded rate", async () => {
    open();
    const keys = Array.from({ length: 2_000 }, (_, at) => `k${at}`);
    for (const key of keys) poller.add(key);
    await pass(5_000);
    const before = asked.length;
    poller.urge("k1999");
    poller.urge("nobody");
    await turn();
    expect(asked[before]).to.equal("k1999");
    expect(asked).not.to.contain("nobody");
    for (const key of keys) poller.urge(key);
    const beforeMany = asked.length;
    await pass(1_000);
    expect(asked.length - beforeMany).to.be.within(250, 850);
  });

  it("asks again for a key that is urged while its answer is on its way", async () => {
    const answers: (() => void)[] = [];
    open(() => new Promise((resolve) => answers.push(resolve)));
    poller.add("a");
    poller.urge("a");
    expect(asked).to.deep.equal(["a"]);
    answers.shift()?.();
    await turn();
    poller.urge("a");
    await pass(20);
    poller.urge("a");
    expect(asked).to.deep.equal(["a", "a"]);
    answers.shift()?.();
    await pass(20);
    expect(asked).to.deep.equal(["a", "a", "a"]);
    answers.shift()?.();
    await turn();
  });

  it("seldom asks in turn for a key whose changes are told, while they are", async () => {
    let since: number | null = null;
    open(undefined, () => since);
    poller.add("told", true);
    poller.add("told later", true);
    poller.add("another");
    await pass(3_000);
    expect(asked.filter((key) => key === "told").length).to.be.within(2, 4);
    since = clock.now();
    await pass(2_000);
    const times = () => asked.filter((key) => key === "told").length;
    // Once more, as it may have changed before.
    const told = times();
    await pass(60_000);
    expect(times()).to.equal(told);
    expect(asked.filter((key) => key === "another").length).to.be.above(50);
    await pass(260_000);
    expect(times()).to.equal(told + 1);
    since = null;
    await pass(3_000);
    expect(times()).to.be.above(told + 2);
  });

  it("has few queries under way at once, and gives up those that hang", async () => {
    const aborted: string[] = [];
    const late: string[] = [];
    open(
      (key, signal) =>
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => {
            aborted.push(key);
            // Whoever polls tells a Consul that hangs from an answer that nobody wants any more.
            if (signal.reason instanceof DOMException && signal.reason.name === "TimeoutError")
              late.push(key);
            reject(new Error("gone"));
          }),
        ),
    );
    for (let at = 0; at < 20; at += 1) poller.add(`k${at}`);
    await pass(1_000);
    expect(asked).to.have.length(8);
    await pass(9_100);
    expect(aborted).to.contain("k0");
    expect(late).to.contain("k0");
    await pass(10_000);
    const [key = ""] = asked.slice(-1);
    const before = late.length;
    poller.remove(key);
    expect(aborted).to.contain(key);
    expect(late).to.have.length(before);
  });

  it("slows down while Consul fails", async () => {
    open(async () => {
      throw new Error("500");
    });
    for (let at = 0; at < 500; at += 1) poller.add(`k${at}`);
    await pass(60_000);
    expect(asked.length).to.be.within(5, 60);
  });
});
