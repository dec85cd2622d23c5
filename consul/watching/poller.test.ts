import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { Poller } from "./poller.ts";

/** Lets promises that are settled run their course. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a poller", () => {
  let clock: ManualClock;
  let asked: string[];
  let poller: Poller;
  const open = (poll: (key: string, signal: AbortSignal) => Promise<void> = async () => {}) => {
    clock = new ManualClock();
    asked = [];
    poller = new Poller({
      clock,
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

  it("asks for all in turn, at most 50 a second", async () => {
    open();
    const keys = Array.from({ length: 120 }, (_, at) => `k${at}`);
    for (const key of keys) poller.add(key);
    await pass(1_000);
    expect(asked).to.deep.equal(keys.slice(0, 50));
    await pass(1_400);
    expect(asked).to.deep.equal(keys);
    await pass(40);
    expect(asked.slice(120)).to.deep.equal(["k0", "k1"]);
  });

  it("asks for a key once a second at most", async () => {
    open();
    poller.add("a");
    await pass(3_100);
    expect(asked.length).to.be.within(3, 4);
  });

  it("asks for the urgent first", async () => {
    open();
    for (let at = 0; at < 100; at += 1) poller.add(`k${at}`);
    await pass(2_000);
    poller.urge("k99");
    poller.urge("nobody");
    await pass(20);
    expect(asked.at(-1)).to.equal("k99");
    expect(asked).not.to.contain("nobody");
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
    poller.remove("k7");
    expect(aborted).to.contain("k7");
    expect(late).not.to.contain("k7");
  });

  it("slows down while Consul fails", async () => {
    open(async () => {
      throw new Error("500");
    });
    for (let at = 0; at < 500; at += 1) poller.add(`k${at}`);
    await pass(60_000);
    expect(asked.length).to.be.within(5, 20);
  });
});
