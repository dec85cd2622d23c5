import { expect } from "chai";
import { decodeHealth } from "./health.ts";

interface Parts {
  readonly service?: Record<string, unknown>;
  readonly statuses?: readonly string[];
}
const entry = ({ service = {}, statuses = ["passing"] }: Parts = {}) => ({
  Node: { Node: "n1", Address: "10.0.0.9" },
  Service: {
    ID: "t1",
    Service: "thumb",
    Tags: ["b", "a"],
    Address: "10.0.0.1",
    Port: 80,
    ...service,
  },
  Checks: statuses.map((Status) => ({ CheckID: "c", Status })),
});
const one = (parts: Parts) => decodeHealth("w", [entry(parts)])[0]?.instance ?? null;

describe("an instance of a service", () => {
  it("has its node in its id, its own address and sorted tags", () => {
    expect(decodeHealth("w", [entry()])).to.deep.equal([
      {
        id: "n1/t1",
        createIndex: null,
        fault: null,
        instance: { id: "n1/t1", address: "10.0.0.1", port: 80, weight: 1, tags: ["a", "b"] },
      },
    ]);
  });

  it("has its node's address when it has none of its own", () => {
    expect(one({ service: { Address: "" } })?.address).to.equal("10.0.0.9");
  });

  it("does not serve while any check of it or its node is critical", () => {
    expect(one({ statuses: ["passing", "critical"] })).to.equal(null);
    expect(one({ statuses: ["critical", "warning"] })).to.equal(null);
    expect(one({ statuses: ["maintenance"] })).to.equal(null);
    expect(one({ statuses: [] })?.weight).to.equal(1);
  });

  it("has the weight of its worst check, and does not serve with a weight of 0", () => {
    const Weights = { Passing: 10, Warning: 3 };
    expect(one({ service: { Weights } })?.weight).to.equal(10);
    expect(one({ service: { Weights }, statuses: ["passing", "warning"] })?.weight).to.equal(3);
    expect(
      one({ service: { Weights: { Passing: 10, Warning: 0 } }, statuses: ["warning"] }),
    ).to.equal(null);
    expect(one({ service: { Weights: { Passing: 0 } } })).to.equal(null);
    expect(one({ statuses: ["warning"] })?.weight).to.equal(1);
  });

  it("does not serve without an address and a port that can be connected to", () => {
    expect(one({ service: { Port: 0 } })).to.equal(null);
    expect(one({ service: { Port: 70_000 } })).to.equal(null);
    expect(one({ service: { Address: "a b" } })).to.equal(null);
  });

  it("says why it can never serve as it is registered", () => {
    const faultOf = (service: object, address?: string) =>
      decodeHealth("w", [entry({ service: { Address: address ?? "10.0.0.1", ...service } })])[0]
        ?.fault;
    expect(faultOf({})).to.equal(null);
    expect(faultOf({ Port: 0 })).to.equal("its port is 0");
    expect(faultOf({ Port: -1 })).to.equal("its port is no port: -1");
    expect(faultOf({}, "[::1]")).to.contain("an IPv6 address has no brackets");
    expect(faultOf({}, "::1")).to.equal(null);
    expect(faultOf({}, "a b")).to.equal("its address is no host: a b");
  });

  it("makes the whole answer bad when it is none", () => {
    for (const bad of [null, {}, { Node: {}, Service: {}, Checks: [] }])
      expect(() => decodeHealth("w", [entry(), bad])).to.throw("no instance");
    expect(() => decodeHealth("w", {})).to.throw("no list");
  });
});
