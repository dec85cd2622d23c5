import { setImmediate as turn } from "node:timers/promises";
import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { Confirmations } from "./confirmations.ts";

/** Services whose reads stay open until they are answered. */
function begin(count: number) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = {
    debug: () => {},
    info: () => {},
    warn: (_fields: object, message: string) => void lines.push(message),
  };
  const confirmations = new Confirmations({ clock, random: () => 1, log });
  const open = new Map<string, PromiseWithResolvers<void>>();
  const services = Array.from({ length: count }, (_, at) => ({
    key: `s${at}`,
    confirm: (signal: AbortSignal) => {
      const read = Promise.withResolvers<void>();
      open.set(`s${at}`, read);
      signal.addEventListener("abort", () => read.reject(signal.reason));
      return read.promise.finally(() => open.delete(`s${at}`));
    },
  }));
  const want = () => {
    for (const service of services) confirmations.want(service);
  };
  return { clock, lines, confirmations, open, want };
}

describe("reads that confirm what much went away", () => {
  it("are made a few at a time, and each once", async () => {
    const { confirmations, open, want } = begin(100);
    const asked = new Set<string>();
    want();
    want();
    for (let round = 0; asked.size < 100 && round < 100; round += 1) {
      expect(open.size).to.be.at.most(8);
      for (const [key, read] of open) {
        asked.add(key);
        read.resolve();
      }
      await turn();
    }
    expect(asked.size).to.equal(100);
    await confirmations.stop();
  });

  it("are given up after a while, made again ever later, and told of sparingly", async () => {
    const { clock, lines, confirmations, open, want } = begin(200);
    let reads = 0;
    for (let second = 0; second < 300; second += 1) {
      want();
      while (open.size > 0) {
        for (const read of open.values()) {
          reads += 1;
          read.reject(new Error("no cluster leader"));
        }
        await turn();
      }
      clock.advance(1_000);
    }
    // One a second for each service would be 60,000.
    expect(reads).to.be.within(200, 200 * 14);
    expect(lines.length).to.be.within(20, 20 + 61);
    expect(lines[0]).to.match(/^s0 keeps its instances: .*no cluster leader/);
    expect(lines.some((line) => /\(and \d+ more such lines\)$/.test(line))).to.equal(true);
    want();
    const hanging = [...open.keys()];
    expect(hanging).to.have.lengthOf(8);
    clock.advance(5_000);
    await turn();
    expect(hanging.filter((key) => open.has(key))).to.deep.equal([]);
    await confirmations.stop();
    expect(clock.pending).to.equal(0);
  });

  it("end with whoever asks, without a word", async () => {
    const { lines, confirmations, want, clock } = begin(3);
    want();
    await confirmations.stop();
    expect([lines, clock.pending]).to.deep.equal([[], 0]);
  });
});
