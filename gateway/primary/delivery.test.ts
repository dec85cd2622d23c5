import { expect } from "chai";
import { ConsulError } from "../../consul/index.ts";
import { Delivery } from "./delivery.ts";
import { ManualClock } from "./fixtures/clock.ts";
import type { BehindWorker } from "./workers.ts";

const subject = "upstreams/web";
const late: BehindWorker = { worker: 2, pid: 22, version: 4 };

describe("the delivery of a write", () => {
  /** What is there, as a test sets it. */
  function scene() {
    const there = {
      written: async (): Promise<number | null> => 7,
      decided: null as number | null,
      behind: [] as readonly BehindWorker[],
      commits: 0,
    };
    const clock = new ManualClock();
    const delivery = new Delivery({
      written: () => there.written(),
      decided: () => there.decided,
      commit: () => {
        there.commits += 1;
        return 5;
      },
      behind: (version) => (version === 5 ? there.behind : []),
      clock,
    });
    /** Lets what waits go on, for so many milliseconds. */
    async function pass(ms: number): Promise<void> {
      for (let each = 0; each < ms; each += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        clock.advance(1);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { there, delivery, pass };
  }

  it("is over when the gateway has decided on it and every worker has the version with it", async () => {
    const { there, delivery, pass } = scene();
    there.behind = [late];
    let outcome: unknown = null;
    void delivery.arrived(subject, 1_000).then((arrived) => {
      outcome = arrived;
    });
    there.decided = 6;
    await pass(50);
    // What was there before is not it.
    expect([outcome, there.commits]).to.deep.equal([null, 0]);
    there.decided = 7;
    await pass(50);
    expect([outcome, there.commits]).to.deep.equal([null, 1]);
    there.behind = [];
    await pass(50);
    expect(outcome).to.deep.equal({ isSeen: true, behind: [] });
  });

  it("ends at its deadline with whoever has not got it", async () => {
    const { there, delivery, pass } = scene();
    const asked = delivery.arrived(subject, 100);
    await pass(120);
    expect(await asked).to.deep.equal({ isSeen: false, behind: [] });
    there.decided = 9;
    there.behind = [late];
    const again = delivery.arrived(subject, 100);
    await pass(120);
    expect(await again).to.deep.equal({ isSeen: true, behind: [late] });
    const here = delivery.everywhere(0);
    await pass(1);
    expect(await here).to.deep.equal({ isSeen: true, behind: [late] });
  });

  it("of a removal waits until the gateway has nothing", async () => {
    const { there, delivery, pass } = scene();
    there.written = async () => null;
    there.decided = 7;
    let isOver = false;
    const asked = delivery.arrived(subject, 1_000).then((arrived) => {
      isOver = true;
      return arrived;
    });
    await pass(50);
    expect(isOver).to.equal(false);
    there.decided = null;
    await pass(20);
    expect(await asked).to.deep.equal({ isSeen: true, behind: [] });
  });

  it("is not known where Consul fails behind a write, which stands", async () => {
    const { there, delivery } = scene();
    there.written = () => Promise.reject(new ConsulError("timeout", "Consul is silent"));
    expect(await delivery.arrived(subject, 1_000)).to.deep.equal({ isSeen: false, behind: [] });
  });
});
