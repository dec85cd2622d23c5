/**
 * Nanoseconds of processor time of one `pick` by each policy, with 10, 100 and 1,000 peers; also while one or half of
 * them are out, or have all the requests that they may have. `node bench/balancing.ts`.
 */
import { type Attempts, PeerBook, Upstream } from "../gateway/balancing/index.ts";
import { type PolicyName, policyNames } from "../gateway/model/index.ts";

const first: Attempts = { tries: 0, tried: () => false };
const keys = Array.from({ length: 1_024 }, (_, at) => `key ${at * 7_919}`);

interface Scene {
  readonly name: string;
  /** Weights go from 1 to this. */
  readonly weights: number;
  readonly maxConns?: number;
  /** How many of the peers are out or full. */
  readonly gone: (count: number) => number;
}

const scenes: readonly Scene[] = [
  { name: "weights 1", weights: 1, gone: () => 0 },
  { name: "weights 1 to 3", weights: 3, gone: () => 0 },
  { name: "one is out", weights: 1, gone: () => 1 },
  { name: "half are out", weights: 1, gone: (count) => count / 2 },
  { name: "one is full", weights: 1, maxConns: 10, gone: () => 1 },
  { name: "half are full", weights: 1, maxConns: 10, gone: (count) => count / 2 },
];

function upstreamOf(policy: PolicyName, count: number, scene: Scene): Upstream {
  const { weights, maxConns } = scene;
  const servers = Array.from({ length: count }, (_, at) => ({
    host: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
    port: 80,
    weight: 1 + (at % weights),
    maxFails: 1,
    failTimeoutMs: 10_000,
    ...(maxConns === undefined ? {} : { maxConns }),
  }));
  const book = new PeerBook({ onRetired: () => {}, random: Math.random });
  const upstream = new Upstream([{ servers }], { name: "bench", limits: null, policy }, book);
  for (let gone = 0; gone < scene.gone(count); gone += 1) {
    const peer = upstream.pick(first, 0)?.peer;
    if (peer === undefined) break;
    // Its failure lies ahead of all that runs here, so it stays out.
    if (maxConns === undefined) upstream.failed(peer, Number.MAX_SAFE_INTEGER);
    else peer.inFlight = maxConns;
  }
  return upstream;
}

function run(upstream: Upstream, hasKey: boolean, rounds: number): number {
  let picked = 0;
  for (let at = 0; at < rounds; at += 1) {
    const key = hasKey ? (keys[at & 1_023] ?? "") : "";
    if (upstream.pick(first, at, key) !== null) picked += 1;
  }
  return picked;
}

/** Nanoseconds for a pick. The least of several is taken, because whatever else runs can only add to it. */
function timed(upstream: Upstream, hasKey: boolean, rounds: number): number {
  const before = process.cpuUsage();
  run(upstream, hasKey, rounds);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / rounds;
}

console.log(`ns for a pick, ${process.version}`);
for (const scene of scenes) {
  for (const policy of policyNames) {
    const cells = [10, 100, 1_000].map((count) => {
      const upstream = upstreamOf(policy, count, scene);
      const rounds = Math.round(4_000_000 / (count + 40));
      const hasKey = policy === "hash";
      run(upstream, hasKey, 4 * rounds);
      return Math.min(...Array.from({ length: 5 }, () => timed(upstream, hasKey, rounds)))
        .toFixed(0)
        .padStart(8);
    });
    console.log(`${policy.padEnd(12)} ${scene.name.padEnd(16)} ${cells.join("")}`);
  }
}
