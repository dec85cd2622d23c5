import { expect } from "chai";
import { seeded } from "../../../test/support/random.ts";
import type { HealthCheck, UpstreamDocument } from "../../model/index.ts";
import { ManualClock } from "../fixtures/clock.ts";
import { ActiveChecks } from "./active-checks.ts";
import type { Verdict } from "./judges.ts";
import type { Claim } from "./peer-health.ts";

const plain: HealthCheck = {
  ...{ type: "general", intervalMs: 5_000, timeoutMs: 1_000, rise: 2, fall: 3, http: null },
};

describe("active checks", () => {
  let clock: ManualClock;
  /** What each address answers; one that is not there does not answer. */
  let answers: Map<string, Verdict>;
  let open: Map<string, (verdict: Verdict) => void>;
  let times: { readonly host: string; readonly atMs: number }[];
  let claims: Map<string, string>;
  let turns: string[];
  let most: number;

  beforeEach(() => {
    clock = new ManualClock();
    answers = new Map();
    open = new Map();
    times = [];
    claims = new Map();
    turns = [];
    most = 0;
  });

  const make = (mostAtOnce = 100) =>
    new ActiveChecks({
      health: {
        claim: (address, { upstream }, claim: Claim | null) => {
          const id = `${upstream} ${address}`;
          if (claim === null) claims.delete(id);
          else claims.set(id, claim.message);
          turns.push(`${id} ${claim?.message ?? "well"}`);
        },
      },
      probe: ({ host }, _check, done) => {
        times.push({ host, atMs: clock.now() });
        open.set(host, done);
        most = Math.max(most, open.size);
        const cancel = clock.after(20, () => {
          const verdict = answers.get(host);
          if (verdict === undefined) return;
          open.delete(host);
          done(verdict);
        });
        return () => {
          cancel();
          open.delete(host);
        };
      },
      mostAtOnce,
      clock,
      random: seeded(3),
    });

  function documents(hosts: readonly string[], check: HealthCheck | null = plain) {
    const servers = hosts.map((host) => ({
      ...{ host, port: 80, weight: 1, maxFails: 1, failTimeoutMs: 1_000 },
    }));
    const document: UpstreamDocument = {
      ...{ levels: [{ servers }], service: null, maxFails: 1, failTimeoutMs: 1_000, tries: null },
      ...(check === null ? {} : { check }),
    };
    return new Map([["u", document]]);
  }

  it("take a server out after so many failures in a row, and back after so many successes", () => {
    const checks = make();
    answers.set("a", null).set("b", null);
    checks.follow(documents(["a", "b"]));
    clock.advance(10_000);
    expect(turns).to.deep.equal([]);
    answers.set("a", "refused");
    clock.advance(8_000);
    answers.set("a", null);
    clock.advance(5_500);
    answers.set("a", "refused");
    expect(claims.size).to.equal(0);
    clock.advance(16_600);
    expect([...claims]).to.deep.equal([["u a:80", "refused"]]);
    answers.set("a", null);
    clock.advance(11_100);
    expect(claims.size).to.equal(0);
    checks.close();
    expect(clock.pending).to.equal(0);
  });

  it("come each within a tenth of the interval, and not all at once", () => {
    const checks = make();
    const hosts = Array.from({ length: 200 }, (_, at) => `h${at}`);
    for (const host of hosts) answers.set(host, null);
    checks.follow(documents(hosts));
    clock.advance(60_000);
    const [first, ...others] = times.filter(({ host }) => host === "h7");
    let before = first?.atMs ?? 0;
    for (const { atMs } of others) {
      expect(atMs - before - 20).to.be.within(4_490, 5_510);
      before = atMs;
    }
    expect(most).to.be.below(60);
    expect(checks.status()).to.include({ servers: 200, failed: 0, late: 0 });
    expect(checks.status().done).to.be.within(200 * 10, 200 * 14);
  });

  it("are no more at once than may be, and none is forgotten for that", () => {
    const checks = make(5);
    const hosts = Array.from({ length: 100 }, (_, at) => `h${at}`);
    for (const host of hosts) answers.set(host, null);
    checks.follow(documents(hosts));
    clock.advance(3_000);
    expect(most).to.equal(5);
    expect(new Set(times.map(({ host }) => host)).size).to.equal(100);
    expect(checks.status().late).to.be.above(0);
    checks.follow(new Map());
    expect(clock.pending).to.equal(0);
  });

  it("go on where they are when a document changes, and forget what has left", () => {
    const checks = make();
    answers.set("a", "refused").set("b", "refused");
    checks.follow(documents(["a", "b"]));
    clock.advance(16_600);
    expect([...claims.keys()]).to.have.members(["u a:80", "u b:80"]);
    for (let at = 0; at < 100; at += 1) {
      checks.follow(documents(["a", "c"]));
      clock.advance(50);
    }
    expect([...claims.keys()]).to.deep.equal(["u a:80"]);
    expect(times.filter(({ host }) => host === "a").length).to.be.within(4, 6);
    checks.follow(documents(["a", "c"], null));
    expect(claims.size).to.equal(0);
    expect(clock.pending).to.equal(0);
    const { length } = times;
    clock.advance(60_000);
    expect(times).to.have.length(length);
  });

  it("give up on a server that leaves while it is asked", () => {
    const checks = make(1);
    checks.follow(documents(["silent"]));
    clock.advance(2_000);
    expect(checks.status().running).to.equal(1);
    answers.set("b", null);
    checks.follow(documents(["b"]));
    expect(checks.status().running).to.equal(0);
    clock.advance(2_000);
    expect(times.at(-1)?.host).to.equal("b");
    checks.close();
  });
});
