import { expect } from "chai";
import { upstreamLines } from "./view.ts";

describe("what sluice upstream prints", () => {
  it("says why a peer gets no requests", () => {
    const known = {
      ...{ effectiveWeight: 1, fails: 0, inFlight: 0, elsewhere: 0, answers: 0, errors: 0 },
      ...{ latencyMs: 0, since: null, downUntil: null },
    };
    const peer = (address: string, state: "ok" | "err", reason: string) => ({
      ...{ address, level: 0, weight: 1 },
      workers: [{ ...known, worker: 1, state, reason }],
    });
    const peers = [peer("10.0.0.1:80", "ok", "no failure"), peer("10.0.0.2:80", "err", "drained")];
    const shop = {
      kind: "upstream" as const,
      key: "shop",
      name: "shop",
      limits: null,
      bounds: [],
      peers,
    };
    const lines = upstreamLines({ upstreams: [shop], unanswered: [] });
    expect(lines.find((line) => line.includes("10.0.0.2:80"))).to.match(/err .* drained$/);
    expect(lines.find((line) => line.includes("10.0.0.1:80"))).to.match(/ok .* 0$/);
  });
});
