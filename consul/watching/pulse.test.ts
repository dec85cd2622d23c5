import { expect } from "chai";
import { ConsulError } from "../api/errors.ts";
import { ManualClock } from "../fixtures/clocks.ts";
import { Pulse, type Silence } from "./pulse.ts";

/** Lets promises that are settled run their course. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a pulse", () => {
  let clock: ManualClock;
  let pulse: Pulse;
  let asked: ("old" | "new")[];
  let dead: number;
  let back: number;
  let changes: (Silence | null)[];
  let old: () => Promise<boolean>;
  let fresh: () => Promise<boolean>;
  const never = () => new Promise<never>(() => {});
  const answers = async () => true;

  beforeEach(() => {
    clock = new ManualClock();
    [asked, dead, back, changes] = [[], 0, 0, []];
    [old, fresh] = [answers, answers];
    pulse = new Pulse({
      clock,
      ask: (isNew, signal) => {
        asked.push(isNew ? "new" : "old");
        const gone = new Promise<never>((_, reject) =>
          signal.addEventListener("abort", () => reject(new Error("taken back"))),
        );
        return Promise.race([isNew ? fresh() : old(), gone]);
      },
      onDeadConnections: () => {
        dead += 1;
      },
      onBack: () => {
        back += 1;
      },
      onChange: (silence) => changes.push(silence),
    });
    pulse.start();
  });
  afterEach(async () => {
    await pulse.stop();
    expect(clock.pending).to.equal(0);
  });
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 100) {
      clock.advance(100);
      await turn();
    }
  };

  it("asks every few seconds on a connection that is there, whatever the status of the answer", async () => {
    await pass(10_000);
    old = async () => {
      throw new ConsulError("status", "403", 403);
    };
    await pass(10_000);
    expect(asked.length).to.be.within(5, 8);
    expect(asked).not.to.contain("new");
    expect(changes).to.deep.equal([]);
  });

  it("finds dead connections within ten seconds, and says so once", async () => {
    await pass(4_000);
    old = never;
    await pass(10_000);
    expect(dead).to.equal(1);
    expect(changes.map((one) => one === null)).to.deep.equal([false, true]);
    expect(pulse.silence).to.equal(null);
  });

  it("shows a Consul that is silent within ten seconds, and for as long as it is", async () => {
    await pass(4_000);
    [old, fresh] = [never, never];
    await pass(10_000);
    expect(pulse.silence?.error).to.contain("does not answer");
    await pass(60_000);
    expect(pulse.silence).not.to.equal(null);
    expect(dead).to.equal(0);
    fresh = answers;
    await pass(6_000);
    expect(dead).to.equal(1);
    expect(pulse.silence).to.equal(null);
    expect(changes).to.have.length(2);
  });

  it("leaves the connections of a Consul alone that was only late", async () => {
    await pass(4_000);
    const hangs = Promise.withResolvers<boolean>();
    [old, fresh] = [() => hangs.promise, () => hangs.promise];
    await pass(8_000);
    expect(pulse.silence).not.to.equal(null);
    hangs.resolve(true);
    await pass(2_000);
    expect({ dead, silence: pulse.silence }).to.deep.equal({ dead: 0, silence: null });
  });

  it("leaves those alone that a Consul has cut by itself", async () => {
    const refused = async () => {
      throw new ConsulError("unreachable", "ECONNREFUSED");
    };
    [old, fresh] = [refused, refused];
    await pass(8_000);
    expect(pulse.silence?.error).to.equal("ECONNREFUSED");
    [old, fresh] = [answers, answers];
    await pass(1_000);
    expect({ dead, back, silence: pulse.silence }).to.deep.equal({
      dead: 0,
      back: 1,
      silence: null,
    });
  });

  it("sees within a second that there is a leader again, and asks no more than twice a second for one", async () => {
    await pass(4_000);
    old = async () => false;
    await pass(4_000);
    asked = [];
    await pass(10_000);
    expect(asked.length).to.be.within(10, 21);
    expect({ back, silence: pulse.silence }).to.deep.equal({ back: 0, silence: null });
    old = answers;
    await pass(1_000);
    expect({ back, dead }).to.deep.equal({ back: 1, dead: 0 });
  });

  it("finds a Consul that is back within two seconds, although what was sent to it meanwhile is lost", async () => {
    await pass(4_000);
    [old, fresh] = [never, never];
    await pass(20_000);
    fresh = answers;
    await pass(2_000);
    expect({ dead, silence: pulse.silence }).to.deep.equal({ dead: 1, silence: null });
  });
});
