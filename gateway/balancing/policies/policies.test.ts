/** Each policy against its definition, over seeded runs. */
import { expect } from "chai";
import { seeded } from "../../../test/support/random.ts";
import type { Peer } from "../../engine/peer.ts";
import { type PolicyName, policyNames, type Server } from "../../model/index.ts";
import type { Attempts } from "../filter.ts";
import { Tried } from "../fixtures/tried.ts";
import { PeerBook } from "../peer-book.ts";
import { Upstream } from "../upstream.ts";

const server = (host: string, weight = 1): Server => ({
  host,
  port: 80,
  weight,
  maxFails: 1,
  failTimeoutMs: 10_000,
});

const hosts = (count: number) => Array.from({ length: count }, (_, at) => `10.0.0.${at}`);

describe("balancing policies", () => {
  let random: () => number;
  let book: PeerBook;
  beforeEach(() => {
    random = seeded(42);
    book = new PeerBook({ onRetired: () => {}, random });
  });

  const build = (policy: PolicyName, servers: readonly Server[], previous?: Upstream) =>
    new Upstream([{ servers }], { name: "test", limits: null, policy }, book, previous ?? null);

  function pick(upstream: Upstream, tried: Attempts = new Tried(), key = ""): Peer {
    const peer = upstream.pick(tried, 0, key)?.peer;
    if (peer === undefined) throw new Error("there is a peer");
    return peer;
  }

  /** How often each host is picked. */
  function shares(upstream: Upstream, count: number, key?: (at: number) => string) {
    const counts = new Map<string, number>();
    for (let at = 0; at < count; at += 1) {
      const { host } = pick(upstream, new Tried(), key?.(at));
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    return counts;
  }

  for (const policy of policyNames) {
    describe(policy, () => {
      const keyOf = policy === "hash" ? (at: number) => `key ${at}` : undefined;

      it("gives each peer its share by weight while all are idle", () => {
        const weights = [5, 1, 3, 1];
        const upstream = build(
          policy,
          weights.map((weight, at) => server(`10.0.0.${at}`, weight)),
        );
        const counts = shares(upstream, 20_000, keyOf);
        for (const [at, weight] of weights.entries())
          expect(counts.get(`10.0.0.${at}`) ?? 0).to.be.closeTo(weight * 2_000, 200);
      });

      it("passes over what is out, was tried or is retired, and has nobody when nobody is left", () => {
        const upstream = build(
          policy,
          hosts(5).map((host) => server(host)),
        );
        const out = pick(upstream);
        upstream.failed(out, 0);
        for (let round = 0; round < 200; round += 1) {
          const tried = new Tried();
          const key = keyOf?.(round) ?? "";
          while (tried.peers.length < 4) tried.peers.push(pick(upstream, tried, key));
          expect(new Set(tried.peers).size).to.equal(4);
          expect(tried.peers.includes(out)).to.equal(false);
          // The host that is out is the last resort; after it there is none.
          expect(pick(upstream, tried, key)).to.equal(out);
          tried.peers.push(out);
          expect(upstream.pick(tried, 0, key)).to.equal(null);
        }
      });

      it("has nobody where there is nobody", () => {
        expect(build(policy, []).pick(new Tried(), 0, keyOf?.(1))).to.equal(null);
      });

      it("goes on over changes of the peers", () => {
        let upstream = build(
          policy,
          hosts(3).map((host) => server(host)),
        );
        for (let at = 4; at < 50; at += 1) {
          const next = build(
            policy,
            hosts(at)
              .slice(at - 3)
              .map((host) => server(host)),
            upstream,
          );
          upstream.dispose();
          upstream = next;
          expect(hosts(at)).to.include(pick(upstream, new Tried(), keyOf?.(at)).host);
        }
      });
    });
  }

  it("wrr: workers that start together do not all begin with the same peer", () => {
    const servers = hosts(100).map((host, at) => server(host, at === 0 ? 1 : 10));
    const firsts = new Set<string>();
    let ofTheLight = 0;
    for (let worker = 0; worker < 64; worker += 1) {
      const upstream = build("wrr", servers);
      firsts.add(pick(upstream).host);
      for (let at = 0; at < 100; at += 1) if (pick(upstream).host === "10.0.0.0") ofTheLight += 1;
    }
    expect(firsts.size).to.be.above(30);
    // A round has 991 turns, of which the light slot has one.
    expect(ofTheLight).to.be.within(1, 20);
  });

  it("least_conn: always picks one of those with the fewest in flight for their weight", () => {
    const upstream = build(
      "least_conn",
      hosts(20).map((host, at) => server(host, 1 + (at % 4))),
    );
    const flying: Peer[] = [];
    const load = ({ host, inFlight }: Peer) => inFlight / (1 + (Number(host.slice(7)) % 4));
    const known = new Map<string, Peer>();
    for (let at = 0; at < 5_000; at += 1) {
      const peer = pick(upstream);
      known.set(peer.host, peer);
      const least = Math.min(...[...known.values()].map(load));
      if (known.size === 20) expect(load(peer)).to.equal(least);
      peer.inFlight += 1;
      flying.push(peer);
      while (flying.length > 60) {
        const [done] = flying.splice(Math.floor(random() * flying.length), 1);
        if (done !== undefined) done.inFlight -= 1;
      }
    }
  });

  it("least_conn: knows who is least loaded whoever has loaded them, over changes, and forgets who left", () => {
    const servers = hosts(40).map((host, at) => server(host, 1 + (at % 3)));
    const [one, other] = [build("least_conn", servers), build("wrr", servers)];
    let upstream = one;
    const flying: Peer[] = [];
    const peers = new Map<string, Peer>();
    while (peers.size < 40) {
      const peer = pick(other);
      peers.set(peer.host, peer);
    }
    const load = ({ host, inFlight }: Peer) => inFlight / (1 + (Number(host.slice(7)) % 3));
    for (let at = 0; at < 5_000; at += 1) {
      const peer = pick(random() < 0.5 ? upstream : other);
      peer.inFlight += 1;
      flying.push(peer);
      const next = pick(upstream);
      expect(load(next)).to.equal(Math.min(...[...peers.values()].map(load)));
      upstream.peek(0, "");
      while (flying.length > 100) {
        const [done] = flying.splice(Math.floor(random() * flying.length), 1);
        if (done !== undefined) done.inFlight -= 1;
      }
      if (at % 500 !== 499) continue;
      const replaced = build("least_conn", servers, upstream);
      upstream.dispose();
      upstream = replaced;
    }
    for (const peer of peers.values()) expect(peer.watchers.length).to.be.at.most(1);
    upstream.dispose();
    for (const peer of peers.values()) expect(peer.watchers).to.deep.equal([]);
  });

  it("wrr: takes the same turns whether it looks at each server or only at those that are not well", () => {
    /** Makes the policy look at each slot, and excludes none. */
    const careful = { tries: 1, tried: () => false };
    for (let seed = 1; seed <= 20; seed += 1) {
      random = seeded(seed);
      const servers = hosts(2 + (seed % 12)).map((host) => server(host, Math.ceil(random() * 5)));
      // Each has its own book, so that both begin alike and neither hears what the other learns.
      const make = () =>
        new Upstream(
          [{ servers }],
          { name: "test", limits: null, policy: "wrr" },
          new PeerBook({ onRetired: () => {} }),
        );
      const [a, b] = [make(), make()];
      for (let nowMs = 0; nowMs < 40_000; nowMs += 40) {
        const first = a.pick(new Tried(), nowMs)?.peer as Peer;
        const second = b.pick(careful, nowMs)?.peer as Peer;
        expect(first.host, `seed ${seed}, ${nowMs}`).to.equal(second.host);
        const isBad = random() < 0.1;
        for (const [upstream, peer] of [
          [a, first],
          [b, second],
        ] as const) {
          if (isBad) upstream.failed(peer, nowMs);
          else upstream.succeeded(peer);
        }
      }
    }
  });

  it("p2c: keeps the fullest peer much closer to the average than chance does", () => {
    const fullest = (policy: PolicyName) => {
      const upstream = build(
        policy,
        hosts(100).map((host) => server(`${policy}-${host}`)),
      );
      const peers = new Set<Peer>();
      for (let at = 0; at < 1_000; at += 1) {
        const peer = pick(upstream);
        peer.inFlight += 1;
        peers.add(peer);
      }
      return Math.max(...[...peers].map(({ inFlight }) => inFlight));
    };
    expect(fullest("p2c")).to.be.at.most(13);
    expect(fullest("random")).to.be.at.least(16);
  });

  it("ewma: turns away from a slow peer at once, and comes back when it is quick again", () => {
    const upstream = build(
      "ewma",
      hosts(4).map((host) => server(host)),
    );
    let nowMs = 0;
    const slow = "10.0.0.0";
    const serve = (count: number, slowMs: number) => {
      const pick = (one: Upstream) => one.pick(new Tried(), nowMs)?.peer as Peer;
      let ofSlow = 0;
      for (let at = 0; at < count; at += 1) {
        nowMs += 5;
        const peer = pick(upstream);
        const took = peer.host === slow ? slowMs : 10;
        if (peer.host === slow) ofSlow += 1;
        upstream.ended(peer, 200, null, took, nowMs);
      }
      return ofSlow / count;
    };
    expect(serve(2_000, 10)).to.be.closeTo(0.25, 0.05);
    expect(serve(2_000, 200)).to.be.below(0.1);
    nowMs += 60_000;
    serve(4_000, 10);
    expect(serve(4_000, 10)).to.be.closeTo(0.25, 0.08);
  });

  it("hash: when one of 100 peers leaves, no other key moves, and its own go to all others", () => {
    const all = hosts(100).map((host, at) => server(host, 1 + (at % 3)));
    const before = build("hash", all);
    const after = build("hash", all.slice(1), before);
    let moved = 0;
    const takers = new Set<string>();
    for (let at = 0; at < 20_000; at += 1) {
      const key = `user-${at}`;
      const was = pick(before, new Tried(), key).host;
      const is = pick(after, new Tried(), key).host;
      if (was === "10.0.0.0") takers.add(is);
      else if (was !== is) moved += 1;
    }
    expect(moved).to.equal(0);
    expect(takers.size).to.be.above(30);
  });

  it("hash: requests without a key take turns", () => {
    const upstream = build(
      "hash",
      hosts(4).map((host) => server(host)),
    );
    for (const count of shares(upstream, 400).values()) expect(count).to.equal(100);
  });

  it("a script's key holds whatever the policy is", () => {
    for (const policy of policyNames) {
      const upstream = build(
        policy,
        hosts(10).map((host) => server(host)),
      );
      const picked = new Set(
        Array.from({ length: 50 }, () => pick(upstream, new Tried(), "one").host),
      );
      expect(picked.size, policy).to.equal(1);
    }
  });
});
