import { expect } from "chai";
import { seeded } from "../../test/support/random.ts";
import type { Peer } from "../engine/peer.ts";
import type { Level, Server } from "../model/index.ts";
import { Tried } from "./fixtures/tried.ts";
import { PeerBook } from "./peer-book.ts";
import { Upstream } from "./upstream.ts";

function server(host: string, options: Partial<Server> = {}): Server {
  return { host, port: 80, weight: 1, maxFails: 1, failTimeoutMs: 10_000, ...options };
}

describe("Upstream", () => {
  let retired: string[];
  let book: PeerBook;
  let nowMs: number;

  beforeEach(() => {
    retired = [];
    book = new PeerBook({ onRetired: (peer) => retired.push(peer.host) });
    nowMs = 1_000_000;
  });

  function build(
    levels: readonly (readonly Server[])[],
    options: { previous?: Upstream } = {},
  ): Upstream {
    return new Upstream(
      levels.map((servers): Level => ({ servers })),
      { name: "test", limits: null },
      book,
      options.previous ?? null,
    );
  }

  /** The hosts picked for `count` requests, all of which succeed. */
  function serve(upstream: Upstream, count: number): string {
    let hosts = "";
    for (let i = 0; i < count; i += 1) {
      const peer = upstream.pick(new Tried(), nowMs)?.peer ?? null;
      if (peer === null) return `${hosts}-`;
      upstream.succeeded(peer);
      hosts += peer.host;
    }
    return hosts;
  }

  /** Makes one request during which the hosts in `dead` fail. Returns the hosts that were tried, in order. */
  function attempt(upstream: Upstream, dead: string): string {
    const tried = new Tried();
    let hosts = "";
    for (;;) {
      const peer = upstream.pick(tried, nowMs)?.peer ?? null;
      if (peer === null) return `${hosts}-`;
      tried.peers.push(peer);
      hosts += peer.host;
      if (!dead.includes(peer.host)) {
        upstream.succeeded(peer);
        return hosts;
      }
      upstream.failed(peer, nowMs);
    }
  }

  describe("weights", () => {
    it("picks in nginx's order for weights 5, 1, 1", () => {
      const upstream = build([[server("a", { weight: 5 }), server("b"), server("c")]]);
      expect(serve(upstream, 14)).to.equal("aabacaaaabacaa");
    });

    it("takes turns when weights are equal", () => {
      expect(serve(build([[server("a"), server("b"), server("c")]]), 6)).to.equal("abcabc");
    });

    it("gives each server exactly its weight in a cycle and is never far off within one", () => {
      const random = seeded(20_240_611);
      for (let round = 0; round < 200; round += 1) {
        const weights = Array.from({ length: 2 + Math.floor(random() * 9) }, () =>
          Math.ceil(random() * 30),
        );
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const upstream = build([weights.map((weight, i) => server(`h${i}`, { weight }))]);
        const counts = new Map<string, number>();
        let worst = 0;
        for (let picks = 1; picks <= total * 2; picks += 1) {
          const host = upstream.pick(new Tried(), nowMs)?.peer.host ?? "none";
          counts.set(host, (counts.get(host) ?? 0) + 1);
          for (const [i, weight] of weights.entries()) {
            const due = (picks * weight) / total;
            worst = Math.max(worst, Math.abs((counts.get(`h${i}`) ?? 0) - due));
          }
        }
        expect(worst, weights.join()).to.be.below(2);
        expect(weights.map((_, i) => counts.get(`h${i}`))).to.deep.equal(
          weights.map((weight) => weight * 2),
        );
        upstream.dispose();
      }
      expect(book.size).to.equal(0);
    });

    it("follows new weights at once, however far the round had gone", () => {
      const before = build([[server("a", { weight: 1000 }), server("b", { weight: 999 })]]);
      serve(before, 501);
      const after = build([[server("a"), server("b", { weight: 2 })]], { previous: before });
      before.dispose();
      const hosts = serve(after, 30);
      expect(hosts.split("b").length - 1).to.be.within(19, 21);
    });

    it("goes on with the round when it is rebuilt after each request", () => {
      let upstream = build([[server("a"), server("b"), server("c")]]);
      let hosts = "";
      for (let i = 0; i < 9; i += 1) {
        hosts += serve(upstream, 1);
        const next = build([[server("a"), server("b"), server("c")]], { previous: upstream });
        upstream.dispose();
        upstream = next;
      }
      expect(hosts).to.equal("abcabcabc");
      expect(retired).to.deep.equal([]);
    });

    it("gives newcomers their share, however often they take the place of a server that left", () => {
      const stable = ["a", "b", "c", "d", "e"];
      let newcomers = ["n0", "n1", "n2", "n3", "n4"];
      let upstream = build([[...stable, ...newcomers].map((host) => server(host))]);
      let picked = 0;
      for (let i = 5; i < 405; i += 1) {
        const host = serve(upstream, 1);
        if (!newcomers.includes(host)) continue;
        picked += 1;
        newcomers = newcomers.map((name) => (name === host ? `n${i}` : name));
        const servers = [...stable, ...newcomers].map((name) => server(name));
        const next = build([servers], { previous: upstream });
        upstream.dispose();
        upstream = next;
      }
      expect(picked).to.be.within(180, 220);
    });

    it("counts an address that is listed twice once, with both weights", () => {
      const upstream = build([[server("a"), server("b"), server("a")], [server("b")]]);
      expect(upstream.size).to.equal(2);
      expect(serve(upstream, 6)).to.equal("abaaba");
      upstream.dispose();
      expect(retired).to.have.members(["a", "b"]);
    });
  });

  describe("failures", () => {
    it("takes a server out for fail_timeout after max_fails failures", () => {
      const upstream = build([[server("a", { maxFails: 2 }), server("b"), server("c")]]);
      expect(attempt(upstream, "a")).to.equal("ab");
      expect(attempt(upstream, "a")).to.equal("c");
      expect(attempt(upstream, "a")).to.match(/^a?[bc]$/);
      for (let i = 0; i < 6; i += 1) attempt(upstream, "a");
      nowMs += 10_000;
      expect(serve(upstream, 6)).not.to.contain("a");
    });

    it("lets one request probe it then, and keeps it out when that fails", () => {
      const upstream = build([[server("a"), server("b")]]);
      expect(attempt(upstream, "a")).to.equal("ab");
      nowMs += 10_001;
      const probe = new Tried();
      const hosts = [1, 2, 3, 4].map(() => upstream.pick(probe, nowMs)?.peer.host);
      expect(hosts.filter((host) => host === "a")).to.have.lengthOf(1);
      const [a] = [...peersOf(upstream, "a")];
      if (a !== undefined) upstream.failed(a, nowMs);
      expect(serve(upstream, 4)).to.equal("bbbb");
    });

    it("brings it back when the probing request succeeds, with its weight regained step by step", () => {
      const upstream = build([[server("a", { weight: 4 }), server("b", { weight: 4 })]]);
      attempt(upstream, "a");
      expect(upstream.describe(nowMs).peers[0]).to.include({ state: "err", effectiveWeight: 0 });
      nowMs += 10_001;
      expect(serve(upstream, 30)).to.contain("a");
      expect(upstream.describe(nowMs).peers[0]).to.include({
        state: "ok",
        effectiveWeight: 4,
        fails: 0,
      });
      expect(serve(upstream, 8).split("a")).to.have.lengthOf(5);
    });

    it("does not take a success of a request that began before the failure for a recovery", () => {
      const upstream = build([[server("a"), server("b")]]);
      const [early, , other] = [1, 2, 3].map(() => upstream.pick(new Tried(), nowMs)?.peer);
      expect([early?.host, other?.host]).to.deep.equal(["a", "a"]);
      if (early) upstream.failed(early, nowMs);
      if (other) upstream.succeeded(other);
      expect(upstream.describe(nowMs).peers[0]).to.include({ state: "err", fails: 1 });
    });

    it("forgets failures that lie further apart than fail_timeout", () => {
      const flaky = server("a", { maxFails: 2 });
      const upstream = build([[flaky, server("b")]]);
      attempt(upstream, "a");
      nowMs += 10_001;
      serve(upstream, 4);
      attempt(upstream, "a");
      attempt(upstream, "a");
      expect(upstream.describe(nowMs).peers[0]).to.include({ state: "ok", fails: 1 });
    });

    it("never takes a server with max_fails 0 out", () => {
      const upstream = build([[server("a", { maxFails: 0 }), server("b")]]);
      for (let i = 0; i < 5; i += 1) attempt(upstream, "a");
      expect(serve(upstream, 4).split("a")).to.have.lengthOf(3);
    });

    it("never takes the only server out", () => {
      const upstream = build([[server("a")]]);
      for (let i = 0; i < 5; i += 1) expect(attempt(upstream, "a")).to.equal("a-");
      expect(upstream.describe(nowMs).peers[0]).to.include({ state: "unstable", fails: 5 });
      expect(serve(upstream, 1)).to.equal("a");
      expect(upstream.describe(nowMs).peers[0]).to.include({ fails: 0 });
    });

    it("shares what is known of an address between upstreams", () => {
      const one = build([[server("a"), server("b")]]);
      const two = build([[server("a"), server("c")]]);
      attempt(one, "a");
      expect(serve(two, 3)).to.equal("ccc");
    });

    it("keeps a server out over a swap of tables", () => {
      const before = build([[server("a"), server("b")]]);
      attempt(before, "a");
      const after = build([[server("a"), server("b"), server("c")]], { previous: before });
      before.dispose();
      expect(serve(after, 6)).not.to.contain("a");
    });
  });

  describe("tries", () => {
    it("never gives a request the same peer twice", () => {
      const upstream = build([[server("a"), server("b"), server("c")]]);
      expect(attempt(upstream, "abc")).to.equal("abc-");
    });

    it("never picks a server that is down, alone or beside others, and shows it", () => {
      const upstream = build([[server("a", { down: true }), server("b")], [server("c")]]);
      expect(serve(upstream, 4)).to.equal("bbbb");
      expect(attempt(upstream, "bc")).to.equal("bc-");
      const states = upstream.describe(nowMs).peers.map(({ address, state }) => [address, state]);
      expect(states).to.deep.include.members([["a:80", "err"]]);
      expect(build([[server("a", { down: true })]]).pick(new Tried(), nowMs)).to.equal(null);
    });

    it("has no peer when it has no server", () => {
      expect(build([]).pick(new Tried(), nowMs)).to.equal(null);
      expect(build([[]]).describe(nowMs)).to.deep.equal({
        name: "test",
        limits: null,
        bounds: { requests: null, breaker: null, retries: { taken: 0, most: 100 } },
        peers: [],
      });
    });
  });

  describe("levels", () => {
    it("leaves the second level alone while the first has an available server", () => {
      const upstream = build([[server("a"), server("b")], [server("x")]]);
      expect(serve(upstream, 4)).to.equal("abab");
      attempt(upstream, "a");
      expect(serve(upstream, 3)).to.equal("bbb");
    });

    it("uses the second when the first is out, and returns to the first", () => {
      const upstream = build([[server("a"), server("b")], [server("x")]]);
      expect(attempt(upstream, "ab")).to.equal("abx");
      expect(serve(upstream, 3)).to.equal("xxx");
      nowMs += 10_001;
      expect(serve(upstream, 4)).not.to.contain("x");
    });

    it("uses the second for a request that tried all of the first", () => {
      const upstream = build([[server("a", { maxFails: 0 })], [server("x")]]);
      expect(attempt(upstream, "a")).to.equal("ax");
      expect(attempt(upstream, "a")).to.equal("ax");
    });
  });

  describe("when every server is out", () => {
    it("tries servers of all levels by turns, and prefers the first that answers at once", () => {
      const upstream = build([[server("a"), server("b")], [server("x")]]);
      attempt(upstream, "abx");
      expect(upstream.describe(nowMs).peers.every((peer) => peer.state === "unstable")).to.equal(
        true,
      );
      const first = new Set<string>();
      for (let i = 0; i < 9; i += 1) {
        const peer = upstream.pick(new Tried(), nowMs)?.peer ?? null;
        if (peer !== null) first.add(peer.host);
      }
      expect([...first]).to.have.members(["a", "b", "x"]);
      expect(attempt(upstream, "ab")).to.match(/x$/);
      expect(serve(upstream, 3)).to.equal("xxx");
    });

    it("tries a part of a large one only, another one each time", () => {
      const servers = Array.from({ length: 60 }, (_, at) => server(String.fromCharCode(200 + at)));
      const upstream = build([servers]);
      const dead = servers.map(({ host }) => host).join("");
      expect(attempt(upstream, dead)).to.have.length(61);
      const seen = new Set<string>();
      for (let n = 0; n < 10; n += 1) {
        const tried = attempt(upstream, dead);
        expect(tried).to.have.length(33);
        for (const host of tried.slice(0, 32)) seen.add(host);
      }
      expect(seen.size).to.equal(60);
    });

    it("still tries none twice for a request", () => {
      const upstream = build([[server("a"), server("b")]]);
      attempt(upstream, "ab");
      expect(attempt(upstream, "ab")).to.match(/^(ab|ba)-$/);
    });
  });

  describe("references", () => {
    it("retires what no upstream refers to any more, once", () => {
      const before = build([[server("a"), server("b")]]);
      const after = build([[server("b"), server("c")]], { previous: before });
      before.dispose();
      before.dispose();
      expect(retired).to.deep.equal(["a"]);
      after.dispose();
      expect(retired).to.have.members(["a", "b", "c"]);
    });

    it("passes over a retired peer when a request from before the swap tries again", () => {
      const before = build([[server("a"), server("b"), server("c")]]);
      const tried = new Tried();
      const first = before.pick(tried, nowMs)?.peer ?? null;
      if (first !== null) tried.peers.push(first);
      const after = build([[server("c")]], { previous: before });
      before.dispose();
      expect(before.pick(tried, nowMs)?.peer.host).to.equal("c");
      expect(before.pick(new Tried(), nowMs)?.peer.host).to.equal("c");
      after.dispose();
      expect(before.pick(tried, nowMs)).to.equal(null);
    });
  });

  function* peersOf(upstream: Upstream, host: string): Generator<Peer> {
    for (let i = 0; i < upstream.size; i += 1) {
      const peer = upstream.pick(new Tried(), nowMs + 60_000)?.peer ?? null;
      if (peer?.host === host) yield peer;
    }
  }
});
