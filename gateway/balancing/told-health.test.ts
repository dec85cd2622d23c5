/** What an upstream does with the primary's words about its peers, and what it tells the primary. */
import { expect } from "chai";
import { seeded } from "../../test/support/random.ts";
import type { Peer } from "../engine/peer.ts";
import {
  type HealthReason,
  type PeerFinding,
  type PeerHealth,
  type PolicyName,
  policyNames,
  type Server,
} from "../model/index.ts";
import type { Attempts } from "./filter.ts";
import { PeerBook } from "./peer-book.ts";
import { Upstream, type UpstreamOptions } from "./upstream.ts";

const untried: Attempts = { tries: 0, tried: () => false };
const epochMs = 1_700_000_000_000;

describe("health that an upstream is told of", () => {
  let nowMs: number;
  let findings: PeerFinding[];
  let book: PeerBook;
  const health = new Map<string, PeerHealth>();

  beforeEach(() => {
    nowMs = 1_000;
    findings = [];
    health.clear();
    book = new PeerBook({
      onRetired: () => {},
      onFinding: (finding) => findings.push(finding),
      now: () => nowMs,
      epochMs: () => epochMs + nowMs,
      random: seeded(7),
    });
  });

  const server = (host: string, options: Partial<Server> = {}): Server => ({
    ...{ host, port: 80, weight: 1, maxFails: 1, failTimeoutMs: 10_000 },
    ...options,
  });
  const build = (
    servers: readonly Server[],
    options: Partial<UpstreamOptions> = {},
    previous: Upstream | null = null,
  ) => new Upstream([{ servers }], { name: "u", limits: null, ...options }, book, previous);
  const of = (...hosts: string[]) => hosts.map((host) => server(host));

  function say(host: string, reason: Partial<HealthReason> | null): void {
    const key = `${host}:80`;
    if (reason === null) health.delete(key);
    else {
      const whole: HealthReason = {
        ...{ source: "check", upstream: null, code: "check_failed", message: "m" },
        ...{ sinceMs: 0, untilMs: null },
        ...reason,
      };
      health.set(key, { state: "err", reasons: [whole], sinceMs: 0 });
    }
    book.hear(health, [key]);
  }

  function picks(upstream: Upstream, count: number, keyOf = (_at: number) => ""): string {
    let hosts = "";
    for (let at = 0; at < count; at += 1)
      hosts += upstream.pick(untried, nowMs, keyOf(at))?.peer.host ?? "-";
    return hosts;
  }

  for (const policy of policyNames) {
    it(`keeps a peer that fails its checks out of ${policy}, and lets it in again`, () => {
      const keyOf = policy === "hash" ? (at: number) => `key ${at}` : undefined;
      const upstream = build(of("a", "b", "c"), { policy: policy as PolicyName });
      say("b", {});
      expect(picks(upstream, 200, keyOf)).not.to.contain("b");
      say("b", null);
      expect(picks(upstream, 200, keyOf)).to.contain("b");
    });
  }

  it("is left by what goes to one peer for long when that fails its checks or is gone, for one that is well", () => {
    const peerOf = (upstream: Upstream, host: string): Peer => {
      const peer = upstream.find((one) => one.host === host);
      if (peer === null) throw new Error(`${host} is not there`);
      return peer;
    };
    for (const [all, less] of [
      [of("a", "b"), of("b")],
      [of("a", "b", "c"), of("b", "c")],
    ] as const) {
      const upstream = build(all);
      const a = peerOf(upstream, "a");
      expect(upstream.isLeft(a, nowMs)).to.equal(false);
      upstream.failed(a, nowMs, "refused");
      expect(upstream.isLeft(a, nowMs), "one failure is not the end of others").to.equal(false);
      say("a", { source: "admin", code: "drained" });
      expect(upstream.isLeft(a, nowMs), "drained").to.equal(false);
      say("a", {});
      expect(upstream.isLeft(a, nowMs), "fails its checks").to.equal(true);
      for (const { host } of less) say(host, {});
      expect(upstream.isLeft(a, nowMs), "there is no better one").to.equal(false);
      for (const { host } of all) say(host, null);
      const next = build(less, {}, upstream);
      expect(next.isLeft(a, nowMs), "gone").to.equal(true);
      expect(next.isLeft(peerOf(next, "b"), nowMs)).to.equal(false);
      expect(build([]).isLeft(a, nowMs), "there is none").to.equal(false);
    }
  });

  it("heeds what is said for another upstream only there", () => {
    const [one, two] = [build(of("a", "b")), build(of("a", "b"), { name: "v" })];
    say("a", { upstream: "v" });
    expect(picks(one, 4)).to.equal("abab");
    expect(picks(two, 4)).to.equal("bbbb");
  });

  it("heeds what was said before it was made, and over changes of its servers", () => {
    say("a", {});
    let upstream = build(of("a", "b"));
    for (let at = 0; at < 5; at += 1) {
      expect(picks(upstream, 2)).to.equal("bb");
      const next = build(of("a", "b"), {}, upstream);
      upstream.dispose();
      upstream = next;
    }
    say("a", null);
    expect(picks(upstream, 4)).to.contain("a");
  });

  it("tries peers that fail their checks when all do, but never one that is drained", () => {
    const upstream = build(of("a", "b"));
    say("a", { source: "admin", code: "drained" });
    say("b", {});
    expect(picks(upstream, 4)).to.equal("bbbb");
    expect(upstream.describe(nowMs).peers.map(({ state }) => state)).to.deep.equal([
      "err",
      "unstable",
    ]);
    say("b", { source: "admin", code: "drained" });
    expect(picks(upstream, 1)).to.equal("-");
    expect(upstream.whyNone(nowMs)).to.equal("all_drained");
  });

  it("has nobody when none is well and it is not protected, and says why", () => {
    const upstream = build(of("a", "b"), { isProtected: false });
    say("a", {});
    say("b", {});
    expect(picks(upstream, 1)).to.equal("-");
    expect(upstream.whyNone(nowMs)).to.equal("checks_failing");
    const peer = build(of("c"), { isProtected: false });
    const only = peer.pick(untried, nowMs)?.peer as Peer;
    peer.failed(only, nowMs);
    expect(picks(peer, 1)).to.equal("-");
    expect(peer.whyNone(nowMs)).to.equal("all_ejected");
    expect(build([]).whyNone(nowMs)).to.equal("no_instance");
  });

  it("keeps a peer out for as long as another worker's failures do, then lets one request prove it", () => {
    const upstream = build(of("a", "b"));
    const untilMs = epochMs + nowMs + 5_000;
    say("a", { source: "passive", code: "max_fails", untilMs });
    expect(picks(upstream, 4)).to.equal("bbbb");
    nowMs += 5_001;
    const peer = upstream.pick(untried, nowMs)?.peer as Peer;
    const hosts = [peer.host, picks(upstream, 1)].join("");
    expect(hosts).to.contain("a");
    const a = [
      ...(function* () {
        for (let at = 0; at < 4; at += 1) yield upstream.pick(untried, nowMs)?.peer;
      })(),
    ].find((one) => one?.host === "a") as Peer;
    a.inFlight = 1;
    expect(picks(upstream, 6)).to.equal("bbbbbb");
    a.inFlight = 0;
    upstream.ended(a, 200, null, 1, nowMs + 2);
    expect(findings.map(({ code }) => code)).to.include("recovered");
    expect(picks(upstream, 4).split("a")).to.have.length(3);
  });

  it("tells others once when a peer is out, and when it is back", () => {
    const upstream = build(of("a", "b"));
    const a = upstream.pick(untried, nowMs)?.peer as Peer;
    for (let at = 0; at < 10; at += 1) upstream.failed(a, nowMs);
    expect(findings).to.deep.equal([
      {
        ...{ address: "a:80", upstream: null, code: "max_fails" },
        ...{ message: "1 failure within 10 s", forMs: 10_000, maxForMs: 10_000 },
      },
    ]);
    nowMs += 10_001;
    for (let at = 0; at < 3; at += 1) upstream.pick(untried, nowMs);
    upstream.succeeded(a);
    expect(findings.map(({ code }) => code)).to.deep.equal(["max_fails", "recovered"]);
  });

  it("says what the last failure was, in a bounded length", () => {
    const upstream = build(of("a", "b"));
    const a = upstream.pick(untried, nowMs)?.peer as Peer;
    upstream.failed(a, nowMs, "the first");
    upstream.failed(a, nowMs, "the TLS handshake failed");
    expect(findings.map(({ message }) => message)).to.deep.equal([
      "1 failure within 10 s, the last: the first",
    ]);
    const reason = () => upstream.describe(nowMs).peers.find(({ fails }) => fails > 0)?.reason;
    expect(reason()).to.match(/^2 failures in a row, the last: the TLS handshake failed; /);
    upstream.failed(a, nowMs, "x".repeat(10_000));
    expect(reason()?.length).to.be.below(500);
  });

  it("tells others of a server that fails and answers by turns a few times a second, not each time", () => {
    const upstream = build(of("a", "b"));
    const alone = build(of("c"), { name: "alone" });
    for (let at = 0; at < 20_000; at += 1) {
      nowMs += 0.5;
      for (const one of [upstream, alone]) {
        const peer = one.pick(untried, nowMs)?.peer as Peer;
        if (at % 2 === 0) one.failed(peer, nowMs);
        else one.succeeded(peer);
      }
    }
    expect(findings.length).to.be.within(2, 100);
    expect(findings.some(({ address }) => address === "c:80")).to.equal(false);
  });

  it("forgets its own failures when another worker has seen the peer answer", () => {
    const upstream = build(of("a", "b"));
    upstream.failed(upstream.pick(untried, nowMs)?.peer as Peer, nowMs);
    say("a", { source: "passive", code: "max_fails", untilMs: epochMs + nowMs + 10_000 });
    expect(picks(upstream, 4)).to.equal("bbbb");
    say("a", null);
    expect(picks(upstream, 4)).to.contain("a");
    expect(upstream.describe(nowMs).peers[0]).to.include({ state: "ok", fails: 0 });
  });

  describe("a zone of its own", () => {
    const near = (host: string) => server(host, { zone: "z1" });
    const far = (host: string) => server(host, { zone: "z2" });

    for (const policy of policyNames)
      it(`comes first by ${policy}, as long as enough of it is available`, () => {
        const keyOf = policy === "hash" ? (at: number) => `key ${at}` : undefined;
        book = new PeerBook({
          ...{ onRetired: () => {}, now: () => nowMs, random: seeded(9) },
          zone: { name: "z1", minAvailable: 0.5 },
        });
        const upstream = build([far("x"), near("a"), far("y"), near("b"), near("c")], { policy });
        const used = () => [...new Set(picks(upstream, 200, keyOf))].sort().join("");
        expect(used()).to.equal("abc");
        say("a", {});
        expect(used()).to.equal("bc");
        say("b", {});
        expect(used()).to.equal("cxy");
        say("c", {});
        expect(used()).to.equal("xy");
        say("a", null);
        say("b", null);
        expect(used()).to.equal("ab");
        upstream.dispose();
      });

    it("is not asked for where the gateway or the servers have none, and others are tried after it", () => {
      expect(picks(build([near("a"), far("b")]), 4)).to.equal("abab");
      book = new PeerBook({ onRetired: () => {}, zone: { name: "z1", minAvailable: 0 } });
      expect(picks(build([far("a"), server("b")]), 4)).to.equal("abab");
      const upstream = build([far("x"), near("a")], { name: "v" });
      const a = upstream.pick(untried, nowMs)?.peer as Peer;
      expect(a.host).to.equal("a");
      const tried: Attempts = { tries: 1, tried: (peer) => peer === a };
      expect(upstream.pick(tried, nowMs)?.peer.host).to.equal("x");
    });
  });

  describe("slow start", () => {
    it("gives a newcomer a share that grows to its own, by whatever policy", () => {
      for (const policy of policyNames) {
        const keyOf = policy === "hash" ? (at: number) => `key ${at}` : undefined;
        const slow = (host: string) => server(host, { slowStartMs: 10_000 });
        const hosts = [policy, "x", "y"].map((host) => slow(host));
        const before = build(hosts, { policy });
        const upstream = build([...hosts, slow("N")], { policy }, before);
        const share = () => picks(upstream, 4_000, keyOf).split("N").length - 1;
        nowMs += 1_000;
        const early = share();
        nowMs += 4_000;
        const half = share();
        nowMs += 6_000;
        expect(early, policy).to.be.within(20, 250);
        expect(half, policy).to.be.within(350, 750);
        expect(share(), policy).to.be.within(800, 1_200);
        before.dispose();
        upstream.dispose();
      }
    });

    it("does not hold back the first servers of an upstream, nor one that is alone", () => {
      const upstream = build([server("a", { slowStartMs: 10_000 }), server("b")]);
      expect(picks(upstream, 4)).to.equal("abab");
      const next = build([server("c", { slowStartMs: 10_000 })], { isProtected: false }, upstream);
      expect(picks(next, 4)).to.equal("cccc");
    });
  });
});
