import { expect } from "chai";
import { workerTunables } from "./worker-fork.ts";

describe("the allocator of a worker", () => {
  it("has no fastbins, unless the operator says how large they are", () => {
    expect(workerTunables()).to.equal("glibc.malloc.mxfast=0");
    const other = "glibc.malloc.arena_max=2";
    expect(workerTunables(other)).to.equal(`${other}:glibc.malloc.mxfast=0`);
    const own = `${other}:glibc.malloc.mxfast=64`;
    expect(workerTunables(own)).to.equal(own);
  });
});
