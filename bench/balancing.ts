/** Nanoseconds of processor time of one `pick` by each policy, with 10, 100 and 1,000 peers; also while one is out. `node bench/balancing.ts`. */
import { type Attempts, PeerBook, Upstream } from "../gateway/balancing/index.ts";
import { type PolicyName, policyNames } from "../gateway/model/index.ts";

const first: Attempts = { tries: 0, tried: () => false };
const keys = Array.from({ length: 1_024 }, (_, at) => `key ${at * 7_919}`);

function upstreamOf(policy: PolicyName, count: number, weights: number): Upstream {
  const servers = Array.from({ length: count }, (_, at) => ({
    host: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
    port: 80,
    weight: 1 + (at % weights),
    maxFails: 1,
    failTimeoutMs: 10_000,
  }));
  const book = new PeerBook({ onRetired: () => {}, random: Math.random });
  return new Upstream([{ servers }], { name: "bench", limits: null, policy }, book);
}

function run(upstream: Upstream, hasKey: boolean, rounds: number): number {
  let picked = 0;
  for (let at = 0; at < rounds; at += 1) {
    const key = hasKey ? (keys[at & 1_023] ?? "") : "";
    if (upstream.pick(first, at, key) !== null) picked += 1;
  }
  return picked;
}

console.log(`ns for a pick, ${process.version}`);
for (const [weights, isOneOut] of [
  [1, false],
  [3, false],
  [1, true],
] as const) {
  for (const policy of policyNames) {
    const cells = [10, 100, 1_000].map((count) => {
      const upstream = upstreamOf(policy, count, weights);
      const failing = isOneOut ? upstream.pick(first, 0)?.peer : undefined;
      // Its last failure lies ahead of all that runs here, so it stays out.
      if (failing !== undefined) upstream.failed(failing, Number.MAX_SAFE_INTEGER);
      const rounds = Math.round(20_000_000 / (count + 40));
      const hasKey = policy === "hash";
      run(upstream, hasKey, rounds);
      const before = process.cpuUsage();
      run(upstream, hasKey, rounds);
      const { user, system } = process.cpuUsage(before);
      return (((user + system) * 1_000) / rounds).toFixed(0).padStart(8);
    });
    const what = isOneOut ? "one is out    " : `weights 1 to ${weights}`;
    console.log(`${policy.padEnd(12)} ${what} ${cells.join("")}`);
  }
}
