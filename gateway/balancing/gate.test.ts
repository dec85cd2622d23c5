import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import type { GateOptions } from "../model/index.ts";
import { Gate } from "./gate.ts";

const day = 86_400_000;

function options(queueTimeoutMs: number): GateOptions {
  return { maxRequests: 1, queue: 10, queueTimeoutMs, breaker: null };
}

describe("a gate", () => {
  it("fails requests by the deadline that each got, also when a later version of the document allows less", async () => {
    const gate = new Gate("shop", options(day), () => performance.now());
    const failed: string[] = [];
    const request = (name: string) => ({
      serial: 1,
      hold: () => {},
      resume: () => {},
      fail: (_status: number, code: string) => void failed.push(`${name} ${code}`),
    });
    expect(gate.enter(request("first"), performance.now())).to.equal("pass");
    expect(gate.enter(request("patient"), performance.now())).to.equal("held");
    gate.options = options(1);
    expect(gate.enter(request("hasty"), performance.now())).to.equal("held");
    await until("the later one is failed", () => failed.length > 0);
    expect(failed).to.deep.equal(["hasty queue_timeout"]);
    expect(gate.waiting).to.equal(1);
    // The rest goes in its turn, and nothing is left behind.
    gate.options = options(2 * day);
    expect(gate.enter(request("last"), performance.now())).to.equal("held");
    gate.abandon();
    await until("all have gone", () => gate.waiting === 0);
    expect(failed).to.have.length(1);
  });
});
