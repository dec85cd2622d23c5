import { expect } from "chai";
import type { ShownGateway } from "../primary/index.ts";
import { describeFleet } from "./status.ts";

describe("sluice status --fleet", () => {
  it("counts gateways as people do", () => {
    const gateway = (name: string): ShownGateway => ({
      ...{ name, admin: "10.0.0.1:1995", tls: false, node: "a", state: "passing", note: "" },
      ...{ startedAt: null, software: "1", self: false, current: 1, behind: [], behindCount: 0 },
      ...{ refused: [], local: [] },
    });
    const first = (...gateways: readonly ShownGateway[]) =>
      describeFleet({ service: "sluice", wanted: 1, gateways, behind: [], faults: [] })[0];
    expect(first(gateway("a"))).to.equal("1 gateway (the service sluice); * answers");
    expect(first(gateway("a"), gateway("b"))).to.match(/^2 gateways /);
  });
});
