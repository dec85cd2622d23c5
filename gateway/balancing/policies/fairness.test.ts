/** How evenly policies share, over seeded runs: each against its definition, and the workers together. */
import { expect } from "chai";
import { seeded } from "../../../test/support/random.ts";
import type { Peer } from "../../engine/peer.ts";
import type { PolicyName, Server } from "../../model/index.ts";
import type { Attempts } from "../filter.ts";
import { PeerBook } from "../peer-book.ts";
import { Upstream } from "../upstream.ts";

const fresh: Attempts = { tries: 0, tried: () => false };
const seeds = Array.from({ length: 20 }, (_, at) => at + 1);

const server = (host: string, weight = 1): Server => ({
  ...{ host, port: 80, weight },
  ...{ maxFails: 1, failTimeoutMs: 10_000 },
});

/** A worker's upstream. `random` is the worker's own. */
function build(
  policy: PolicyName,
  servers: readonly Server[],
  random: () => number,
  previous: Upstream | null = null,
  book = new PeerBook({ onRetired: () => {}, random }),
): Upstream {
  return new Upstream([{ servers }], { name: "test", limits: null, policy }, book, previous);
}

function pick(upstream: Upstream, nowMs = 0): Peer {
  const peer = upstream.pick(fresh, nowMs)?.peer;
  if (peer === undefined) throw new Error("there is a peer");
  return peer;
}

/** Most of the places that lie in one window of this length; `places` ascend. */
function fullest(places: readonly number[], length: number): number {
  let most = 0;
  for (const [at, place] of places.entries()) {
    const count = places.slice(at).filter((other) => other < place + length).length;
    most = Math.max(most, count);
  }
  return most;
}

describe("how evenly policies share", () => {
  describe("among workers that each have their own round", () => {
    const workers = 8;
    const light = "10.0.1.1";
    const heavy = Array.from({ length: 99 }, (_, at) => server(`10.0.0.${at}`, 100));
    const round = 99 * 100 + 1;

    /** Where the light peer is picked in the first rounds of all workers, who take requests by turns. */
    function placesOfLight(upstreams: readonly Upstream[], rounds: number): number[] {
      const places: number[] = [];
      for (let at = 0; at < rounds * round * upstreams.length; at += 1) {
        const upstream = upstreams[at % upstreams.length];
        if (upstream !== undefined && pick(upstream).host === light) places.push(at);
      }
      return places;
    }

    function expectNoBurst(places: readonly number[], seed: number): void {
      // Each worker has it once in each round.
      expect(places.length, `seed ${seed}`).to.be.within(2 * workers - 2, 2 * workers + 2);
      // A burst would be all workers within some requests. By chance, a few of them share an eighth of a round.
      expect(fullest(places, round), `seed ${seed}: ${places}`).to.be.at.most(workers - 2);
      expect(fullest(places, workers * 10), `seed ${seed}: ${places}`).to.be.at.most(2);
    }

    it("wrr: a peer with weight 1 among 99 with 100 gets no burst when they start together", () => {
      for (const seed of seeds.slice(0, 3)) {
        const random = seeded(seed);
        const upstreams = Array.from({ length: workers }, () =>
          build("wrr", [server(light), ...heavy], random),
        );
        expectNoBurst(placesOfLight(upstreams, 2), seed);
      }
    });

    it("wrr: nor when it joins, of which all workers hear at the same time", () => {
      for (const seed of seeds.slice(0, 3)) {
        const random = seeded(seed);
        const upstreams = Array.from({ length: workers }, () => {
          const book = new PeerBook({ onRetired: () => {}, random });
          const before = build("wrr", heavy, random, null, book);
          for (let at = 0; at < 500; at += 1) pick(before);
          return build("wrr", [server(light), ...heavy], random, before, book);
        });
        expectNoBurst(placesOfLight(upstreams, 2), seed);
      }
    });

    it("least_conn: nor among idle peers, when they start together or when it joins", () => {
      for (const seed of seeds.slice(0, 3)) {
        for (const joins of [false, true]) {
          const random = seeded(seed);
          const upstreams = Array.from({ length: workers }, () => {
            const book = new PeerBook({ onRetired: () => {}, random });
            const all = [server(light), ...heavy];
            const first = build("least_conn", joins ? heavy : all, random, null, book);
            for (let at = 0; joins && at < 500; at += 1) pick(first);
            return joins ? build("least_conn", all, random, first, book) : first;
          });
          expectNoBurst(placesOfLight(upstreams, 2), seed);
        }
      }
    });
  });

  for (const [policy, heaviest] of [
    ["wrr", 50],
    ["least_conn", 9],
  ] as const)
    it(`${policy}: idle peers keep close to their shares all the time, wherever a round begins`, () => {
      for (const seed of seeds) {
        const random = seeded(seed);
        const weights = Array.from({ length: 2 + Math.floor(random() * 20) }, () =>
          Math.ceil(random() * heaviest),
        );
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const servers = weights.map((weight, at) => server(`h${at}`, weight));
        const upstream = build(policy, servers, random);
        const counts = weights.map(() => 0);
        let worst = 0;
        for (let picks = 1; picks <= total * 3; picks += 1) {
          const at = Number(pick(upstream).host.slice(1));
          counts[at] = (counts[at] ?? 0) + 1;
          for (let one = 0; one < weights.length; one += 1) {
            const due = (picks * (weights[one] ?? 0)) / total;
            worst = Math.max(worst, Math.abs((counts[one] ?? 0) - due));
          }
        }
        expect(worst, `seed ${seed}, weights ${weights}`).to.be.below(2);
      }
    });

  it("random: one pick says nothing about the next", () => {
    const count = 5;
    const upstream = build(
      "random",
      Array.from({ length: count }, (_, at) => server(`h${at}`)),
      seeded(7),
    );
    const pairs = new Map<string, number>();
    const rounds = 50_000;
    let before = pick(upstream).host;
    for (let at = 0; at < rounds; at += 1) {
      const { host } = pick(upstream);
      pairs.set(before + host, (pairs.get(before + host) ?? 0) + 1);
      before = host;
    }
    const expected = rounds / count ** 2;
    let chiSquare = 0;
    for (let a = 0; a < count; a += 1)
      for (let b = 0; b < count; b += 1)
        chiSquare += ((pairs.get(`h${a}h${b}`) ?? 0) - expected) ** 2 / expected;
    // With 24 degrees of freedom, chance stays below this in 999 of 1,000 runs.
    expect(chiSquare).to.be.below(51.2);
  });

  /** Of two that are drawn, the better one: who is better than `worse` of `count` peers has this part of all picks. */
  const partOfBetterOfTwo = (worse: number, count: number) =>
    ((worse + 1) ** 2 - worse ** 2) / count ** 2;

  for (const [policy, arrange] of [
    [
      "p2c",
      (_upstream: Upstream, peer: Peer, rank: number) => {
        peer.inFlight = rank;
      },
    ],
    [
      "ewma",
      (upstream: Upstream, peer: Peer, rank: number) =>
        upstream.ended(peer, 200, null, 10 * 2 ** rank, 0),
    ],
  ] as const) {
    it(`${policy}: each peer gets just what the better of two draws gives it`, () => {
      const count = 6;
      for (const seed of seeds.slice(0, 5)) {
        const upstream = build(
          policy,
          Array.from({ length: count }, (_, at) => server(`h${at}`)),
          seeded(seed),
        );
        const peers = new Map<string, Peer>();
        while (peers.size < count) {
          const peer = pick(upstream);
          peers.set(peer.host, peer);
        }
        for (const [host, peer] of peers) arrange(upstream, peer, Number(host.slice(1)));
        const rounds = 20_000;
        const counts = new Map<string, number>();
        for (let at = 0; at < rounds; at += 1) {
          const { host } = pick(upstream);
          counts.set(host, (counts.get(host) ?? 0) + 1);
        }
        for (let rank = 0; rank < count; rank += 1) {
          const part = partOfBetterOfTwo(count - 1 - rank, count);
          expect(
            (counts.get(`h${rank}`) ?? 0) / rounds,
            `seed ${seed}, rank ${rank}`,
          ).to.be.closeTo(part, 0.02);
        }
      }
    });
  }

  it("hash: peers get their share of the keys by weight, whatever keys and addresses look like", () => {
    for (const seed of seeds) {
      const random = seeded(seed);
      const weights = Array.from({ length: 2 + Math.floor(random() * 9) }, () =>
        Math.ceil(random() * 4),
      );
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const net = Math.floor(random() * 256);
      const upstream = build(
        "hash",
        weights.map((weight, at) => server(`10.${net}.0.${at}`, weight)),
        random,
      );
      const keys = 20_000;
      const step = 1 + Math.floor(random() * 1_000);
      const counts = new Map<string, number>();
      for (let at = 0; at < keys; at += 1) {
        const host = upstream.pick(fresh, 0, `/item/${at * step}`)?.peer.host ?? "none";
        counts.set(host, (counts.get(host) ?? 0) + 1);
      }
      for (const [at, weight] of weights.entries()) {
        const part = (counts.get(`10.${net}.0.${at}`) ?? 0) / keys;
        expect(part, `seed ${seed}, weights ${weights}`).to.be.closeTo(weight / total, 0.02);
      }
    }
  });
});
