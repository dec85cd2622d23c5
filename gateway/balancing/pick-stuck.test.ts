import { expect } from "chai";
import type { Peer } from "../engine/engine.ts";
import { PeerBook, PeerTokens, Upstream } from "./index.ts";

const server = (host: string) => ({
  host,
  port: 80,
  weight: 1,
  maxFails: 1,
  failTimeoutMs: 10_000,
});
const untried = { tries: 0, tried: () => false };

describe("a request that stays with a server", () => {
  const tokens = new PeerTokens("a secret");

  function build(...levels: readonly (readonly string[])[]) {
    const book = new PeerBook({ onRetired: () => {} });
    const upstream = new Upstream(
      levels.map((hosts) => ({ servers: hosts.map(server) })),
      { name: "u", limits: null },
      book,
    );
    const peer = (host: string): Peer => {
      const found = upstream.find((one) => one.host === host);
      if (found === null) throw new Error(`no ${host}`);
      return found;
    };
    const stuck = (host: string, attempts = untried, nowMs = 0) =>
      upstream.pickStuck(attempts, nowMs, tokens.of(peer(host)), tokens)?.peer.host ?? null;
    return { upstream, peer, stuck };
  }

  it("gets it as long as it may be picked, and nobody once it was tried or is out", () => {
    const { upstream, peer, stuck } = build(["a", "b", "c"]);
    for (const host of ["a", "b", "c", "b"]) expect(stuck(host)).to.equal(host);
    expect(
      stuck("b", { tries: 1, tried: (one?: Peer) => one === peer("b") } as typeof untried),
    ).to.equal(null);
    upstream.failed(peer("b"), 0);
    expect(stuck("b", untried, 5_000)).to.equal(null);
    expect(stuck("b", untried, 10_001)).to.equal("b");
  });

  it("gets one of a later level only while nobody before it may be picked", () => {
    const { upstream, peer, stuck } = build(["a", "b"], ["spare"]);
    expect(stuck("spare")).to.equal(null);
    upstream.failed(peer("a"), 0);
    expect(stuck("spare", untried, 1)).to.equal(null);
    upstream.failed(peer("b"), 0);
    expect(stuck("spare", untried, 1)).to.equal("spare");
    expect(stuck("spare", untried, 10_001)).to.equal(null);
  });

  it("is told by a token that says no address, is the same with the same key, and another with another", () => {
    const { upstream, peer } = build(["10.0.0.1"]);
    const token = tokens.of(peer("10.0.0.1"));
    expect(token).to.match(/^[\w-]{16}$/);
    expect(new PeerTokens("a secret").of(peer("10.0.0.1"))).to.equal(token);
    const others = new PeerTokens("another secret");
    expect(others.of(peer("10.0.0.1"))).to.not.equal(token);
    expect(upstream.pickStuck(untried, 0, token, tokens)?.peer.host).to.equal("10.0.0.1");
    expect(upstream.pickStuck(untried, 0, token, others)).to.equal(null);
    for (const forged of ["", "10.0.0.1:80", token.slice(1), `${token}x`, "x".repeat(8_000)])
      expect(upstream.pickStuck(untried, 0, forged, tokens)).to.equal(null);
  });
});
