import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { TestExchange } from "../fixtures/test-exchange.ts";
import type { Wait } from "../guard/script-time.ts";
import { type Awaited, WaitingLine } from "./waiting-line.ts";

/** Notes when it goes on. */
class WaitingExchange extends TestExchange {
  readonly #onResume: () => void;
  isHeld = false;

  constructor(onResume: () => void) {
    super();
    this.#onResume = onResume;
  }
  override hold(): void {
    this.isHeld = true;
  }
  override resume(): void {
    this.isHeld = false;
    this.#onResume();
  }
}

describe("the line of requests that wait for their script", () => {
  let nowMs = 0;
  let isAlone = false;
  let line: WaitingLine;
  let gone: string[] = [];
  beforeEach(() => {
    nowMs = 0;
    isAlone = false;
    gone = [];
    line = new WaitingLine({ now: () => nowMs, isAlone: () => isAlone });
  });
  afterEach(() => line.close());

  function script(wait: Wait | null): Awaited & { wait: Wait | null } {
    const one = {
      wait,
      admit: (alone: boolean) => (alone && one.wait === "share" ? null : one.wait),
    };
    return one;
  }

  /** Returns the exchange, or `null` where there was no room. */
  function enter(name: string, one: Awaited): WaitingExchange | null {
    const exchange = new WaitingExchange(() => {
      expect(line.isLeaving(exchange)).to.equal(true);
      gone.push(name);
    });
    return line.enter(exchange, one) ? exchange : null;
  }

  it("goes on one by one, and script by script, when they may be called", async () => {
    const [first, second] = [script("share"), script("share")];
    for (const at of [1, 2, 3]) enter(`first ${at}`, first);
    enter("second 1", second);
    expect(line.hasWaiters(first)).to.equal(true);
    [first.wait, second.wait] = [null, null];
    await new Promise((resolve) => setImmediate(resolve));
    expect(gone).to.deep.equal(["first 1"]);
    await until("all have gone on", () => line.isEmpty);
    expect(gone).to.deep.equal(["first 1", "second 1", "first 2", "first 3"]);
    expect(line.hasWaiters(first)).to.equal(false);
  });

  it("leaves those waiting that may not be called, and lets others pass", async () => {
    const [slow, quick] = [script("newcomers"), script("share")];
    const held = enter("slow", slow);
    enter("quick", quick);
    quick.wait = null;
    await until("the quick one has gone on", () => gone.length > 0);
    expect(gone).to.deep.equal(["quick"]);
    expect(held?.isHeld).to.equal(true);
    slow.wait = null;
    await until("the slow one has gone on", () => line.isEmpty);
  });

  it("goes on while nobody else wants the time", async () => {
    enter("a", script("share"));
    isAlone = true;
    await until("it has gone on", () => line.isEmpty);
    expect(gone).to.deep.equal(["a"]);
  });

  it("waits for two seconds at most", async () => {
    const never = script("newcomers");
    enter("a", never);
    enter("b", never);
    nowMs = 1_999;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(gone).to.deep.equal([]);
    nowMs = 2_000;
    await until("they have gone on", () => line.isEmpty);
    expect(gone).to.deep.equal(["a", "b"]);
  });

  it("has room for a hundred of one script and a thousand of all", () => {
    const one = script("share");
    const entered = Array.from({ length: 101 }, () => enter("a", one) !== null);
    expect(entered.lastIndexOf(true)).to.equal(99);
    for (let at = 0; at < 9; at += 1) {
      const other = script("share");
      for (let times = 0; times < 100; times += 1) enter("b", other);
    }
    expect(enter("c", script("share"))).to.equal(null);
  });

  it("does not go on with a request whose client has gone", async () => {
    const one = script("share");
    const exchange = enter("a", one);
    if (exchange === null) throw new Error("there is no room");
    Object.assign(exchange, { serial: 2 });
    one.wait = null;
    await until("it is forgotten", () => line.isEmpty);
    expect(gone).to.deep.equal([]);
  });
});
