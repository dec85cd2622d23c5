/**
 * Which servers are taken out for doing worse than the others, as properties over seeded runs of a whole upstream.
 */
import { expect } from "chai";
import { seeded } from "../../test/support/random.ts";
import type { Peer } from "../engine/peer.ts";
import type { OutlierOptions, PeerFinding } from "../model/index.ts";
import type { Attempts } from "./filter.ts";
import { PeerBook } from "./peer-book.ts";
import { Upstream } from "./upstream.ts";

const untried: Attempts = { tries: 0, tried: () => false };

const defaults: OutlierOptions = {
  ...{ consecutiveFailures: 5, successRateDrop: 0.2, minRequests: 20, intervalMs: 1_000 },
  ...{ ejectionMs: 10_000, maxEjectionMs: 300_000, maxEjected: 0.5 },
};

describe("outliers", () => {
  let nowMs: number;
  let findings: PeerFinding[];
  let book: PeerBook;
  let random: () => number;

  beforeEach(() => {
    nowMs = 0;
    findings = [];
    random = seeded(11);
    book = new PeerBook({
      onRetired: () => {},
      onFinding: (finding) => findings.push(finding),
      now: () => nowMs,
      random: seeded(5),
    });
  });

  const build = (count: number, options: Partial<OutlierOptions> = {}, previous?: Upstream) =>
    new Upstream(
      [
        {
          servers: Array.from({ length: count }, (_, at) => ({
            ...{ host: `h${at}`, port: 80, weight: 1, maxFails: 1, failTimeoutMs: 10_000 },
          })),
        },
      ],
      { name: "u", limits: null, outliers: { ...defaults, ...options } },
      book,
      previous ?? null,
    );

  /**
   * Serves `count` requests at 1,000 a second; each host fails as often as `rates` says. Returns how many each host
   * got.
   */
  function serve(upstream: Upstream, count: number, rates: Readonly<Record<string, number>>) {
    const got = new Map<string, number>();
    for (let at = 0; at < count; at += 1) {
      nowMs += 1;
      const peer = upstream.pick(untried, nowMs)?.peer as Peer;
      got.set(peer.host, (got.get(peer.host) ?? 0) + 1);
      const isBad = random() < (rates[peer.host] ?? 0);
      upstream.ended(peer, isBad ? 500 : 200, null, 1, nowMs);
    }
    return got;
  }

  const out = () => findings.map(({ address, code }) => `${address} ${code}`);
  const states = (upstream: Upstream) => upstream.describe(nowMs).peers.map(({ state }) => state);

  it("by errors in a row is out at once, and nobody else", () => {
    const upstream = build(4);
    serve(upstream, 100, { h2: 1 });
    expect(out()).to.deep.equal(["h2:80 consecutive_failures"]);
    expect(states(upstream)).to.deep.equal(["ok", "ok", "err", "ok"]);
    expect(serve(upstream, 100, {}).has("h2")).to.equal(false);
  });

  it("by its success rate is out when the interval is over", () => {
    const upstream = build(4, { consecutiveFailures: 0 });
    serve(upstream, 900, { h1: 0.5 });
    expect(out()).to.deep.equal([]);
    serve(upstream, 200, { h1: 0.5 });
    expect(out()).to.deep.equal(["h1:80 success_rate"]);
    expect(findings[0]?.message).to.match(
      /^\d\d % of its requests went well, 100 % of the others'$/,
    );
  });

  it("is nobody where all do equally badly, whatever the seed", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      random = seeded(seed);
      findings = [];
      const upstream = build(2 + (seed % 9), { consecutiveFailures: 0, minRequests: 100 });
      serve(
        upstream,
        3_000,
        Object.fromEntries(Array.from({ length: 11 }, (_, at) => [`h${at}`, 0.3])),
      );
      expect(out(), `seed ${seed}`).to.deep.equal([]);
      upstream.dispose();
    }
  });

  it("are never more than may be out, and never all", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      random = seeded(seed);
      const count = 1 + (seed % 10);
      const maxEjected = [0, 0.3, 0.5, 1][seed % 4] ?? 0;
      const upstream = build(count, { maxEjected });
      const most = Math.min(count - 1, Math.max(1, Math.floor(count * maxEjected)));
      for (let round = 0; round < 30; round += 1) {
        const rates = Object.fromEntries(
          Array.from({ length: count }, (_, at) => [`h${at}`, random() < 0.7 ? 1 : 0]),
        );
        serve(upstream, 50, rates);
        const isOut = states(upstream).filter((state) => state === "err").length;
        expect(isOut, `seed ${seed}`).to.be.at.most(most);
      }
      upstream.dispose();
    }
  });

  it("gets one request at a time afterwards, until three in a row go well", () => {
    const upstream = build(2, { ejectionMs: 1_000 });
    serve(upstream, 20, { h1: 1 });
    expect(states(upstream)).to.deep.equal(["ok", "err"]);
    nowMs += 1_001;
    expect(states(upstream)).to.deep.equal(["ok", "unstable"]);
    findings = [];
    for (let good = 0; good < 3; good += 1) {
      let peer: Peer;
      do peer = upstream.pick(untried, nowMs)?.peer as Peer;
      while (peer.host !== "h1");
      peer.inFlight += 1;
      for (let at = 0; at < 10; at += 1)
        expect(upstream.pick(untried, nowMs)?.peer.host).to.equal("h0");
      peer.inFlight -= 1;
      nowMs += 2;
      upstream.ended(peer, 200, null, 1, nowMs);
    }
    expect(findings.map(({ code, upstream: name }) => [code, name])).to.deep.equal([
      ["recovered", "u"],
      ["recovered", null],
    ]);
    expect(serve(upstream, 100, {}).get("h1")).to.equal(50);
  });

  it("that fails while it proves itself is out again at once", () => {
    const upstream = build(2, { ejectionMs: 1_000 });
    serve(upstream, 20, { h1: 1 });
    nowMs += 1_001;
    findings = [];
    serve(upstream, 4, { h1: 1 });
    expect(out()).to.deep.equal(["h1:80 consecutive_failures"]);
    expect(states(upstream)).to.deep.equal(["ok", "err"]);
  });

  it("are found over changes of the servers, however many there are", () => {
    let upstream = build(4, { consecutiveFailures: 0 });
    for (let at = 0; at < 120; at += 1) {
      serve(upstream, 10, { h3: 0.6 });
      const next = build(4 + (at % 3), { consecutiveFailures: 0 }, upstream);
      upstream.dispose();
      upstream = next;
    }
    expect(out()).to.include("h3:80 success_rate");
    expect(states(upstream)[3]).to.equal("err");
  });
});
