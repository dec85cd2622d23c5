import { expect } from "chai";
import { oneLine, orphanMs, pauseMs, problemIn, renewalMs } from "./failure.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const none = { type: "", retryAfterMs: 0 };

describe("the pause after a failed order", () => {
  it("grows from a minute to a day, spread by a tenth", () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 1_000_000].map((count) => pauseMs(count, none, 0.5));
    const minutes = pauses.map((ms) => Math.round(ms / minuteMs));
    expect(minutes).to.deep.equal([1, 4, 16, 64, 256, 1024, 1440, 1440]);
    expect(pauseMs(2, none, 0)).to.be.closeTo(4 * 0.95 * minuteMs, 1);
    expect(pauseMs(2, none, 1)).to.be.closeTo(4 * 1.05 * minuteMs, 1);
  });

  it("begins with an hour after what time alone does not mend", () => {
    expect(pauseMs(1, { type: "caa", retryAfterMs: 0 }, 0.5)).to.be.closeTo(hourMs, 1);
    expect(pauseMs(1, { type: "dns", retryAfterMs: 0 }, 0.5)).to.be.closeTo(minuteMs, 1);
  });

  it("is as long as the authority asks for, within a week", () => {
    expect(pauseMs(1, { type: "", retryAfterMs: 5 * hourMs }, 0.5)).to.equal(5 * hourMs);
    expect(pauseMs(1, { type: "", retryAfterMs: 900 * dayMs }, 0.5)).to.equal(7 * dayMs);
    expect(pauseMs(4, { type: "", retryAfterMs: 1 }, 0.5)).to.be.above(hourMs);
  });

  it("is short when the gateway that ordered may be gone, and longer each time", () => {
    expect([1, 2, 3].map(orphanMs)).to.deep.equal([15_000, 60_000, 240_000]);
    expect(orphanMs(1_000)).to.equal(dayMs);
  });
});

describe("the renewal of a certificate", () => {
  it("comes with a third of its life left, or a little more", () => {
    expect(renewalMs(0, 90 * dayMs, 0) / dayMs).to.be.closeTo(60, 0.001);
    expect(renewalMs(0, 90 * dayMs, 1) / dayMs).to.be.closeTo(57, 0.001);
    expect(renewalMs(1_000, 7_000, 0)).to.be.closeTo(5_000, 0.001);
    expect(renewalMs(7_000, 1_000, 1), "one that never was valid").to.equal(7_000);
  });
});

describe("the problem in an authority's answer", () => {
  const urn = (type: string) => `urn:ietf:params:acme:error:${type}`;

  it("is its type and detail, with the time that it names", () => {
    const data = { type: urn("rateLimited"), detail: "too\nmany" };
    expect(problemIn(429, data, "120", 0)).to.deep.equal({
      type: "rateLimited",
      detail: "too many",
      retryAfterMs: 120_000,
    });
    const date = new Date(30_000).toUTCString();
    expect(problemIn(503, data, date, 10_000)?.retryAfterMs).to.equal(20_000);
    expect(problemIn(503, data, date, 40_000)?.retryAfterMs).to.equal(0);
  });

  it("is found in the challenge that failed, or in the order", () => {
    const error = { type: urn("unauthorized"), detail: "404" };
    const challenges = [{ status: "pending" }, { status: "invalid", error }];
    const found = { type: "unauthorized", detail: "404", retryAfterMs: 0 };
    expect(problemIn(200, { status: "invalid", challenges }, undefined, 0)).to.deep.equal(found);
    expect(problemIn(200, { status: "invalid", error }, undefined, 0)).to.deep.equal(found);
    expect(problemIn(200, { status: "pending", challenges: [{}] }, undefined, 0)).to.equal(null);
  });

  it("is the status alone when the answer is nothing that can be read", () => {
    for (const data of ["<html>", null, 7, [], { type: 1, detail: {} }])
      expect(problemIn(502, data, { a: 1 }, 0), JSON.stringify(data)).to.deep.equal({
        type: "",
        detail: "the authority answers 502",
        retryAfterMs: 0,
      });
    expect(problemIn(200, "<html>", undefined, 0)).to.equal(null);
  });

  it("is told in one printable line", () => {
    expect(oneLine("a\u001b[2Jb\r\n\u202ec")).to.equal("a [2Jb c");
    expect(oneLine("x".repeat(9_999))).to.have.lengthOf(400);
  });
});
