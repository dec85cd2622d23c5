import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { UnknownServices } from "./unknown-services.ts";

describe("services that do not exist", () => {
  it("have an empty list that is taken back after ten seconds", () => {
    const clock = new ManualClock();
    const unknown = new UnknownServices(clock);
    expect(unknown.add("a")).to.deep.equal([{ kind: "service", key: "a", value: [] }]);
    clock.advance(9_999);
    expect(unknown.expire()).to.deep.equal([]);
    clock.advance(1);
    expect(unknown.expire()).to.deep.equal([{ kind: "service", key: "a", value: null }]);
    expect(unknown.has("a")).to.equal(false);
  });

  it("are kept in bounds however many are asked for", () => {
    const unknown = new UnknownServices(new ManualClock());
    let kept = 0;
    for (let at = 0; at < 5_000; at += 1)
      for (const { value } of unknown.add(`made-up-${at}`)) kept += value === null ? -1 : 1;
    expect(kept).to.equal(1_000);
    expect(unknown.keys()).to.have.length(1_000);
  });

  it("leave nothing to take back once they exist", () => {
    const clock = new ManualClock();
    const unknown = new UnknownServices(clock);
    unknown.add("a");
    unknown.delete("a");
    clock.advance(20_000);
    expect(unknown.expire()).to.deep.equal([]);
  });
});
