import { expect } from "chai";
import { Bench, tables } from "../fixtures/test-sandbox.ts";
import { threadProcessorMs } from "./processor-time.ts";
import { ScriptTime, WorkerTime } from "./script-time.ts";

const limitMs = 10;

/** Scripts of one worker, on a clock of the test's. */
class Worker {
  readonly time = new WorkerTime(limitMs);
  nowMs = 1_000;
  /** What scripts took in all. */
  tookMs = 0;

  script(): ScriptTime {
    return new ScriptTime(this.time);
  }

  /** A call, if it may be; whether it was. */
  call(script: ScriptTime, ranMs: number, isGood: boolean): boolean {
    if (script.wait(this.nowMs) !== null) return false;
    this.nowMs += ranMs;
    this.tookMs += ranMs;
    const took = { endedMs: this.nowMs, wallMs: ranMs, ranMs };
    if (isGood) script.returned(took);
    else script.failed(took);
    return true;
  }

  /** A script that others know for quick. */
  quick(): ScriptTime {
    const script = this.script();
    for (let at = 0; at < 100; at += 1) this.call(script, 0.01, true);
    return script;
  }
}

describe("the time of a script", () => {
  it("is no matter when an odd call is cut short, however often there is one", () => {
    const worker = new Worker();
    const script = worker.script();
    for (let at = 0; at < 20; at += 1) {
      expect(worker.call(script, 14, false)).to.equal(true);
      worker.nowMs += 3_000;
    }
  });

  it("is one part in two hundred when it always fails, after four calls", () => {
    const worker = new Worker();
    const script = worker.script();
    const beganMs = worker.nowMs;
    for (let at = 0; at < 4; at += 1) expect(worker.call(script, 12, false)).to.equal(true);
    expect(worker.call(script, 12, false)).to.equal(false);
    while (worker.nowMs < 600_000) if (!worker.call(script, 12, false)) worker.nowMs += 10;
    expect((worker.nowMs - beganMs) / worker.tookMs).to.be.within(190, 205);
    expect(script.wait(worker.nowMs)).to.equal("debts");
  });

  it("is one late call each for a crowd that was good until then, and nothing of it is a good script's", () => {
    const worker = new Worker();
    const crowd = Array.from({ length: 30 }, () => worker.quick());
    const good = worker.quick();
    const late = crowd.map(() => 0);
    for (let round = 0; round < 20; round += 1) {
      for (const [at, script] of crowd.entries()) {
        if (worker.call(script, 16, false)) late[at] = (late[at] ?? 0) + 1;
        expect(worker.call(good, 0.01, true)).to.equal(true);
      }
    }
    const many = late.filter((calls) => calls > 1);
    expect(many).to.deep.equal([]);
    expect(worker.tookMs, "the quick calls included").to.be.below(30 * 16 + 60);
  });

  it("is paid after one call that nothing could end, in proportion to it", () => {
    const worker = new Worker();
    const script = worker.script();
    worker.call(script, 300, false);
    worker.nowMs += 50_000;
    expect(script.wait(worker.nowMs)).to.equal("debts");
    worker.nowMs += 5_000;
    expect(script.wait(worker.nowMs)).to.equal(null);
  });

  it("is a debt also when the call is good, if nothing could end it in time", () => {
    const worker = new Worker();
    const script = worker.quick();
    worker.call(script, 300, true);
    expect(script.wait(worker.nowMs)).to.equal("debts");
  });

  it("is little for a crowd that stalls, and none is taken from a quick script", () => {
    for (const count of [30, 1_000]) {
      const worker = new Worker();
      const good = worker.quick();
      const crowd = Array.from({ length: count }, () => worker.script());
      const beganMs = worker.nowMs;
      let stalledMs = 0;
      while (worker.nowMs < beganMs + 300_000) {
        for (const script of crowd) if (worker.call(script, 300, false)) stalledMs += 300;
        expect(worker.call(good, 0.01, true)).to.equal(true);
        worker.nowMs += 50;
      }
      // Less than a second at first.
      expect((stalledMs - 900) / 300_000, `${count} hosts`).to.be.below(0.01);
    }
  });

  it("is half for a crowd that loops, and none of it has two calls once much is owed", () => {
    const worker = new Worker();
    const crowd = Array.from({ length: 1_000 }, () => ({ script: worker.script(), calls: 0 }));
    const beganMs = worker.nowMs;
    let longestMs = 0;
    while (worker.nowMs < beganMs + 60_000) {
      const startMs = worker.nowMs;
      for (const one of crowd) if (worker.call(one.script, 12, false)) one.calls += 1;
      if (startMs > beganMs + 1_000) longestMs = Math.max(longestMs, worker.nowMs - startMs);
      worker.nowMs += 1;
    }
    expect(longestMs, "at a stretch, after the first second").to.be.below(100);
    expect(Math.max(...crowd.map(({ calls }) => calls))).to.be.at.most(2);
    expect(worker.tookMs).to.be.below(1.1 * 1_000 * 12);
  });

  it("is no other script's loss when one loops, though that was called but once and took long for it", () => {
    const worker = new Worker();
    const looping = worker.script();
    const other = worker.script();
    worker.call(looping, 1, true);
    worker.call(other, 2, true);
    for (let at = 0; at < 4; at += 1) {
      worker.call(looping, 60, false);
      expect(worker.call(other, 0.05, true), `after ${at + 1}`).to.equal(true);
    }
  });

  it("is still there for a heavy script that took little, when others took far too much", () => {
    const worker = new Worker();
    const heavy = worker.script();
    for (let at = 0; at < 3; at += 1) {
      worker.call(heavy, 0.5, true);
      worker.nowMs += 1_000;
    }
    const greedy = Array.from({ length: 3 }, () => worker.script());
    for (let round = 0; round < 40; round += 1)
      for (const script of greedy) worker.call(script, 9, true);
    expect(greedy.map((script) => script.wait(worker.nowMs))).to.include("share");
    expect(worker.call(heavy, 0.5, true)).to.equal(true);
  });

  it("is left to a quick script when an odd call fails while others owe much", () => {
    const worker = new Worker();
    const [good, bad] = [worker.quick(), worker.quick()];
    worker.call(bad, 1_000, false);
    expect(worker.call(good, 12, false)).to.equal(true);
    expect(good.wait(worker.nowMs)).to.equal(null);
  });

  it("is not given to scripts without a call when three of them stalled, until time has passed", () => {
    const worker = new Worker();
    const [second, third] = [worker.script(), worker.script()];
    const known = worker.quick();
    for (let stalls = 0; stalls < 3; stalls += 1) {
      expect(second.wait(worker.nowMs), `after ${stalls}`).to.equal(null);
      worker.call(worker.script(), 1_700, false);
    }
    expect(second.wait(worker.nowMs)).to.equal("newcomers");
    expect(known.wait(worker.nowMs)).to.equal(null);
    worker.nowMs += 60_000;
    expect(worker.call(second, 0.5, true)).to.equal(true);
    expect(worker.call(third, 0.5, true)).to.equal(true);
  });

  it("counts isolates that are made again, the first ones not", () => {
    const worker = new Worker();
    const script = worker.script();
    for (let at = 0; at < 200; at += 1) {
      script.made({ endedMs: worker.nowMs, wallMs: 3, ranMs: 3 });
      if (at === 1) expect(script.isHeavy).to.equal(false);
      worker.call(script, 0.01, true);
    }
    expect(script.isHeavy).to.equal(true);
    expect(script.wait(worker.nowMs), "alone").to.equal(null);
    worker.time.loopShare.sawOther();
    expect(script.wait(worker.nowMs)).to.equal("share");
    worker.nowMs += 200;
    expect(script.wait(worker.nowMs)).to.equal(null);
  });
});

describe("a script that rests", () => {
  const limits = { memoryMb: 16, callTimeoutMs: 10 };
  const benches: Bench[] = [];
  let laterMs: number;
  beforeEach(() => {
    laterMs = 0;
  });
  afterEach(() => {
    for (const { sandbox } of benches.splice(0)) sandbox.dispose();
  });

  /**
   * Its clock goes on only while this thread runs, so that nothing is paid while a busy machine runs something else.
   */
  async function bench(...[given, options]: ConstructorParameters<typeof Bench>): Promise<Bench> {
    const now = () => threadProcessorMs() + laterMs;
    const one = await Bench.counting(given, { limits, now, ...options });
    benches.push(one);
    return one;
  }

  it("answers with an error and is not run", async () => {
    const text = `export default ({ path }) => {
      if (path === "/loop") for (;;);
      return deny(403);
    };`;
    const one = await bench(tables(text));
    const status = (path: string) => one.request({ path }).exchange.status;
    let loops = 0;
    do {
      loops += 1;
      expect(status("/loop")).to.equal(500);
    } while (loops < 200 && !one.report().lastError?.includes("is not called for a while"));
    expect(status("/")).to.equal(500);
    expect(one.report()).to.include({ calls: loops + 1, errors: loops + 1 });
    expect(one.report().lastError).to.equal(
      "scripts/a.example.com: is not called for a while: calls that failed took too much time",
    );
    laterMs += 3_600_000;
    expect(status("/")).to.equal(403);
  });

  it("took its time for its errors; those that are cheap are no matter", async () => {
    const text = `export default ({ path }) => {
      const until = Date.now() + 170;
      while (path === "/late" && Date.now() < until);
      throw new Error("mine");
    };`;
    const limits = { memoryMb: 16, callTimeoutMs: 200 };
    const error = (one: Bench, path: string) => {
      one.request({ path });
      return one.report().lastError;
    };
    const cheap = await bench(tables(text), { limits });
    for (let at = 0; at < 1_000; at += 1) error(cheap, "/");
    expect(error(cheap, "/")).to.match(/Error: mine$/);
    // As if nothing else had the processor meanwhile: on a busy machine it would not have it for long.
    const wall = () => performance.now();
    const dear = await bench(tables(text), {
      ...{ limits, now: () => wall() + laterMs, processorMs: wall },
    });
    let late = 0;
    while (late < 200 && !error(dear, "/late")?.includes("is not called for a while")) late += 1;
    expect(late, "of 170 ms each").to.be.within(1, 199);
    laterMs += 3_600_000;
    expect(error(dear, "/")).to.match(/Error: mine$/);
  });

  it("is not blamed for what others took before it was called at all", async () => {
    const bad = Array.from({ length: 40 }, (_, at) => [`bad${at}.example.com`, stall] as const);
    const scripts = { ...Object.fromEntries(bad), "new.example.com": deny };
    const one = await bench(tables(scripts));
    const later = bad.find(([authority]) => {
      one.request({ authority });
      return one.report(authority).errors === 0;
    });
    expect(later, "one of them was not called any more").not.to.equal(undefined);
    const authority = "new.example.com";
    expect(one.request({ authority }).exchange.status).to.equal(500);
    expect(one.report(authority)).to.include({ calls: 1, errors: 0 });
    expect(one.report(authority).lastError).to.match(/is not called yet: other scripts/);
    laterMs += 3_600_000;
    expect(one.request({ authority }).exchange.status).to.equal(403);
  });

  it("is not blamed for what others took where it is known from another worker, a new isolate included", async () => {
    const authority = "known.example.com";
    const elsewhere = await bench(tables({ [authority]: deny }));
    for (let at = 0; at < 20; at += 1) elsewhere.request({ authority });
    const { version, usualMs } = elsewhere.report(authority);
    if (usualMs === undefined) throw new Error("it is not known what it takes");
    const bad = Array.from({ length: 40 }, (_, at) => [`bad${at}.example.com`, stall] as const);
    const one = await bench(tables({ ...Object.fromEntries(bad), [authority]: deny }));
    // Whatever a busy machine measured: it is quick.
    one.sandbox.learn([{ host: authority, version, usualMs: Math.min(usualMs, 0.05) }]);
    const later = bad.find(([host]) => {
      one.request({ authority: host });
      return one.report(host).errors === 0;
    });
    expect(later, "one of them was not called any more").not.to.equal(undefined);
    expect(one.request({ authority }).exchange.status).to.equal(403);
  });
});

/** V8 compares in one go, which takes it more than a tenth of a second. */
const stall = `export default () => {
  let long = "x";
  while (long.length < 1e8) long += long;
  if (long + "a" === "a" + long) return;
  null.x;
};`;
const deny = "export default () => deny(403);";
