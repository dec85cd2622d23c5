/**
 * Nanoseconds of one `resolve` and one `pick` with 10,000 host documents, and of the new router
 * after one change. `node bench/routing.ts` prints one line for each case.
 */
import { getHeapStatistics } from "node:v8";
import { PeerBook } from "../gateway/balancing/index.ts";
import type { Peer } from "../gateway/engine/peer.ts";
import {
  changesOf,
  type Datacenter,
  type HostDocument,
  type Instance,
  type Served,
  servedKinds,
  type Tables,
  type UpstreamDocument,
} from "../gateway/model/index.ts";
import { type Choice, Router } from "../gateway/sites/index.ts";
import { Replica } from "../gateway/worker/replica.ts";

const hostCount = 10_000;
const serviceCount = 10_000;
const rounds = 2_000_000;

const tables = {
  upstream: new Map<string, UpstreamDocument>(),
  host: new Map<string, HostDocument>(),
  service: new Map<string, readonly Instance[]>(),
  catalog: new Map<string, readonly string[]>(),
  datacenter: new Map<string, Datacenter>([["dc1", { own: true, catalog: true }]]),
  route: new Map(),
  script: new Map(),
  module: new Map(),
  setting: new Map(),
  trial: new Map(),
  closed: new Map(),
  health: new Map(),
  key: new Map(),
  peer: new Map(),
  certificate: new Map(),
  ticketKeys: new Map(),
  listener: new Map(),
  challenge: new Map(),
} satisfies Tables;

function fixed(count: number): UpstreamDocument {
  const servers = Array.from({ length: count }, (_, i) => ({
    host: `10.0.${count}.${i}`,
    port: 8080,
    weight: 1 + (i % 3),
    maxFails: 1,
    failTimeoutMs: 10_000,
  }));
  const levels = [{ servers }];
  return { levels, service: null, maxFails: 1, failTimeoutMs: 10_000, tries: null };
}

function instances(name: string, count: number): readonly Instance[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `${name}-${i}`,
    address: `10.1.0.${i}`,
    port: 9000 + i,
    weight: 1,
    tags: i % 2 === 0 ? ["v1"] : ["v2"],
  }));
}

function rule(prefix: string, upstream: string) {
  return { prefix, shares: [{ upstream, weight: 1 }] };
}

for (const count of [1, 2, 10]) tables.upstream.set(`fixed-${count}`, fixed(count));
for (let i = 0; i < serviceCount; i += 1) {
  tables.service.set(`service-${i}`, instances(`service-${i}`, 4));
  tables.catalog.set(`service-${i}`, ["v1", "v2"]);
}
for (let i = 0; i < hostCount; i += 1) {
  tables.host.set(`host-${i}.example.com`, {
    enable: true,
    paths: [
      rule("/api/v2", "fixed-10"),
      rule("/api", `service-${i % 1_000}`),
      rule("/one", "fixed-1"),
      rule("/", "fixed-2"),
    ],
  });
}
for (let i = 0; i < 100; i += 1) {
  tables.host.set(`*.wild-${i}.example.com`, { enable: true, paths: [rule("/", "fixed-2")] });
}
tables.host.set("split.example.com", {
  enable: true,
  paths: [
    {
      prefix: "/",
      shares: [
        { upstream: "fixed-1", weight: 90 },
        { upstream: "fixed-2", weight: 10 },
      ],
    },
  ],
});

/** What a host costs that looks at more than its path. */
const value = (name: string, text: string) =>
  ({ in: "header", name, test: { is: [text] } }) as const;
const sides = (sticky: object) => ({
  prefix: "/",
  shares: ["v1", "v2"].map((tag, at) => ({
    ...{ upstream: "service-1", weight: at === 0 ? 90 : 10, subset: { tag }, name: tag },
    ...(at === 0 ? {} : { forced: [{ values: [value("x-version", "2")] }] }),
  })),
  ...sticky,
});
tables.host.set("tags.example.com", { enable: true, paths: [sides({})] });
tables.host.set("sticky.example.com", {
  enable: true,
  paths: [sides({ sticky: { by: { hash: "client" }, to: "side" } })],
});
for (const count of [10, 5_000])
  tables.host.set(`routes-${count}.example.com`, {
    enable: true,
    paths: [rule("/", "fixed-2")],
    routes: Array.from({ length: count }, (_, at) => ({
      ...{ name: `routes[${at}]`, paths: [{ prefix: count === 10 ? "/" : `/r${at}` }] },
      conditions: { methods: ["POST"], values: [value("x-team", `${at}`)] },
      shares: [{ upstream: "fixed-1", weight: 1 }],
    })),
  });

const book = new PeerBook({ onRetired: () => undefined });
const options = { random: Math.random, now: () => performance.now() };
const replica = new Replica();
replica.applySnapshot({ boot: "b", version: 1, changes: changesOf(tables, servedKinds) });
let router = Router.build(replica.tables, book, options, null);
const first = { tries: 0, tried: (_peer: Peer) => false };

/** Hosts are made at run time, as from sockets: their hashes are not known beforehand. */
function hosts(make: (i: number) => string): readonly string[] {
  return Array.from({ length: 1_024 }, (_, i) => Buffer.from(make(i)).toString("latin1"));
}

/** Used again for each request, as an engine does it. */
const request = {
  method: "GET",
  host: "",
  path: "/",
  query: "",
  clientAddress: "10.0.0.1",
  header: (_name: string): string | undefined => undefined,
};
const choice: Choice = { rule: null, routedBy: null, side: null };

function run(names: readonly string[], path: string, count: number): number {
  request.path = path;
  let picked = 0;
  for (let i = 0; i < count; i += 1) {
    const host = names[i & 1_023] ?? "";
    request.host = host;
    const upstream = router.resolve(router.site(host), request, "all", choice);
    if (upstream?.pick(first, i) !== null) picked += 1;
  }
  return picked;
}

/** Since the process began; rises with each allocation, whatever is collected. */
function allocatedBytes(): number {
  return getHeapStatistics().total_allocated_bytes;
}

function measure(title: string, names: readonly string[], path: string): void {
  run(names, path, 200_000);
  const heapBefore = allocatedBytes();
  const startedAt = process.hrtime.bigint();
  run(names, path, rounds);
  const ns = Number(process.hrtime.bigint() - startedAt) / rounds;
  const heap = (allocatedBytes() - heapBefore) / rounds;
  console.log(
    `${title.padEnd(44)} ${ns.toFixed(0).padStart(6)} ns ${heap.toFixed(2).padStart(8)} B`,
  );
}

const spread = hosts((i) => `host-${(i * 7919) % hostCount}.example.com`);
console.log(
  `${hostCount} hosts, ${serviceCount} services, ${process.version}; ns and heap bytes per request`,
);
measure("host, path /, 2 peers", spread, "/index.html");
measure("host, path /one, 1 peer", spread, "/one/x");
measure("host, path /api/v2, 10 peers", spread, "/api/v2/items/17");
measure("host, path /api, service of 4 instances", spread, "/api/v1/items/17");
measure("host, path with dot segments", spread, "/x/../api/%2e/v1/items");
measure(
  "wildcard, 2 peers",
  hosts((i) => `a${i}.b.wild-${i % 100}.example.com`),
  "/",
);
measure(
  "split 90:10",
  hosts(() => "split.example.com"),
  "/",
);
measure(
  "split by tag, forced by a header",
  hosts(() => "tags.example.com"),
  "/",
);
measure(
  "the same, by hash of the client",
  hosts(() => "sticky.example.com"),
  "/",
);
measure(
  "10 routes by method and header, then a path",
  hosts(() => "routes-10.example.com"),
  "/",
);
measure(
  "5,000 routes of different paths, then a path",
  hosts(() => "routes-5000.example.com"),
  "/r4999/x",
);
measure(
  "service name, 4 instances",
  hosts((i) => `service-${i % 1_000}`),
  "/",
);
measure(
  "service and tag",
  hosts((i) => `v2.service-${i % 1_000}.service.consul`),
  "/",
);
measure(
  "unknown host",
  hosts((i) => `nobody-${i}.example.org`),
  "/",
);

function change(title: string, make: (i: number) => Served): void {
  const times: number[] = [];
  for (let i = 0; i < 200; i += 1) {
    const one = make(i);
    const startedAt = process.hrtime.bigint();
    const { version } = replica;
    replica.applyDelta({ boot: "b", from: version, to: version + 1, changes: [one] });
    const built = Router.build(replica.tables, book, options, router, [one]);
    router.dispose(built);
    times.push(Number(process.hrtime.bigint() - startedAt) / 1e6);
    router = built;
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(3);
  console.log(`${title.padEnd(44)} ${at(0.5)} ms median, ${at(0.99)} ms p99`);
}

change("change of one upstream document", (i) => ({
  kind: "upstream",
  key: "fixed-10",
  value: fixed(10 + (i % 2)),
}));
change("change of one service", (i) => ({
  kind: "service",
  key: `service-${i}`,
  value: instances(`service-${i}`, 5),
}));
change("change of one host document", (i) => ({
  kind: "host",
  key: `host-${i}.example.com`,
  value: { enable: true, paths: [rule("/", "fixed-1")] },
}));
change("a wildcard over all 10,000 hosts", (i) => ({
  kind: "host",
  key: "*.example.com",
  value: { enable: true, paths: [rule(`/${i}`, "fixed-1")] },
}));
