import { expect } from "chai";
import type { Peer } from "../../engine/peer.ts";
import type { Attempts } from "../filter.ts";
import { PeerBook } from "../peer-book.ts";
import { Upstream } from "../upstream.ts";

const fresh: Attempts = { tries: 0, tried: () => false };
const tried = (...peers: readonly Peer[]): Attempts => ({
  tries: peers.length,
  tried: (peer) => peers.includes(peer),
});
const keys = Array.from({ length: 6_000 }, (_, at) => `user-${at}`);

function build(
  weights: Readonly<Record<string, number>>,
  backup: readonly string[] = [],
): Upstream {
  const server = (host: string, weight: number) => ({
    ...{ host, port: 80, weight },
    ...{ maxFails: 1, failTimeoutMs: 10_000 },
  });
  const levels = [
    { servers: Object.entries(weights).map(([host, weight]) => server(host, weight)) },
    { servers: backup.map((host) => server(host, 1)) },
  ];
  return new Upstream(levels, { name: "test", limits: null }, new PeerBook({ onRetired() {} }));
}

function peerOf(upstream: Upstream, key: string, attempts = fresh, nowMs = 1_000): Peer {
  const peer = upstream.pick(attempts, nowMs, key)?.peer ?? null;
  if (peer === null) throw new Error(`no peer for ${key}`);
  return peer;
}

describe("an upstream that is asked by a key", () => {
  const equal = { "10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.3": 1 };

  it("picks the same peer for the same key, whatever was asked before", () => {
    const one = build(equal);
    const other = build({ "10.0.0.3": 1, "10.0.0.1": 1, "10.0.0.2": 1 });
    for (const key of keys.slice(0, 200)) {
      other.pick(fresh, 1_000);
      expect(peerOf(one, key).host).to.equal(peerOf(other, key).host);
      expect(peerOf(one, key).host).to.equal(peerOf(one, key).host);
    }
  });

  it("gives each peer its share of the keys by weight", () => {
    const upstream = build({ "10.0.0.1": 1, "10.0.0.2": 2, "10.0.0.3": 3 });
    const counts = new Map<string, number>();
    for (const key of keys) {
      const { host } = peerOf(upstream, key);
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    expect(counts.get("10.0.0.1")).to.be.closeTo(1_000, 120);
    expect(counts.get("10.0.0.2")).to.be.closeTo(2_000, 120);
    expect(counts.get("10.0.0.3")).to.be.closeTo(3_000, 120);
  });

  it("moves only the keys that a new peer wins", () => {
    const before = build(equal);
    const now = build({ ...equal, "10.0.0.4": 1 });
    let moved = 0;
    for (const key of keys) {
      const { host } = peerOf(now, key);
      if (host === peerOf(before, key).host) continue;
      expect(host).to.equal("10.0.0.4");
      moved += 1;
    }
    expect(moved).to.be.closeTo(1_500, 120);
  });

  it("goes to the next best when a try failed, and back when the peer is up again", () => {
    const upstream = build(equal);
    const first = peerOf(upstream, "user-7");
    const second = peerOf(upstream, "user-7", tried(first));
    expect(second).to.not.equal(first);
    upstream.failed(first, 1_000);
    expect(peerOf(upstream, "user-7"), "while it is out").to.equal(second);
    expect(peerOf(upstream, "user-7", fresh, 12_000), "a probe").to.equal(first);
    const all = tried(first, second, peerOf(upstream, "user-7", tried(first, second)));
    expect(upstream.pick(all, 1_000, "user-7")).to.equal(null);
  });

  it("goes to the next level when all of the first are out, and to any when all are", () => {
    const upstream = build({ "10.0.0.1": 1 }, ["10.0.1.1", "10.0.1.2"]);
    upstream.failed(peerOf(upstream, "a"), 1_000);
    const backup = peerOf(upstream, "a");
    expect(backup.host).to.match(/^10\.0\.1\./);
    upstream.failed(backup, 1_000);
    upstream.failed(peerOf(upstream, "a"), 1_000);
    expect(upstream.pick(fresh, 1_000, "a")).to.not.equal(null);
  });
});
