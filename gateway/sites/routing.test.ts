import { expect } from "chai";
import { PeerBook, type Upstream } from "../balancing/index.ts";
import { parseHostDocument } from "../documents/index.ts";
import {
  applyChange,
  emptyTables,
  type Instance,
  type Served,
  stickyKeyName,
  type Tables,
} from "../model/index.ts";
import { type Asked, request, undecided } from "./fixtures/requests.ts";
import { Router } from "./router.ts";
import type { Routes } from "./routing.ts";

const first = { tries: 0, tried: () => false };
const host = "shop.example";

function tablesWith(
  document: object,
  services: Readonly<Record<string, readonly Instance[]>>,
): Tables {
  const tables = emptyTables();
  const changes: Served[] = [
    { kind: "datacenter", key: "dc1", value: { own: true, catalog: true } },
    { kind: "key", key: stickyKeyName, value: "a secret" },
    { kind: "host", key: host, value: parseHostDocument("hosts/shop", JSON.stringify(document)) },
  ];
  for (const [key, value] of Object.entries(services))
    changes.push({ kind: "service", key, value }, { kind: "catalog", key, value: [] });
  for (const change of changes) applyChange(tables, change);
  return tables;
}

function instance(address: string, tags: readonly string[] = [], meta = {}): Instance {
  return { id: address, address, port: 80, weight: 1, tags, meta };
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const named = ["web", "a", "b", "c"];
const shop = [
  instance("one", ["v1"]),
  instance("two", ["V1"]),
  instance("new", ["v2"], { version: "2" }),
];

class Scene {
  dateMs = Date.parse("2026-06-01T00:00:00Z");
  /** On the clock of upstreams. */
  nowMs = 0;
  readonly router: Router;

  constructor(
    document: object,
    services: Readonly<Record<string, readonly Instance[]>> = {},
    seed = 1,
  ) {
    const all = Object.fromEntries(named.map((name) => [name, [instance(name)]]));
    const book = new PeerBook({ onRetired: () => {} });
    this.router = Router.build(tablesWith(document, { ...all, shop, ...services }), book, {
      random: seeded(seed),
      now: () => this.nowMs,
      date: () => this.dateMs,
    });
  }

  resolve(path: string, asked: Asked = {}): Upstream | null {
    return this.router.resolve(
      this.router.site(host),
      request(host, path, asked),
      "all",
      undecided(),
    );
  }

  /** The host of the peer that gets the request. */
  to(path: string, asked: Asked = {}): string | null {
    return this.resolve(path, asked)?.pick(first, 0)?.peer.host ?? null;
  }

  routes(asked: Asked = {}): Routes | null {
    return this.router.routes(
      this.router.site(host),
      request(host, "/", asked),
      "all",
      undecided().rule,
    );
  }

  /** The name of the side that gets the request. */
  side(asked: Asked = {}): string | null {
    const choice = undecided();
    this.router.resolve(this.router.site(host), request(host, "/", asked), "all", choice);
    return choice.side?.name ?? null;
  }

  /** How many of `count` requests each side gets, in per cent. */
  shares(count: number): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < count; i += 1) {
      const side = this.side() ?? "-";
      counts[side] = (counts[side] ?? 0) + 100 / count;
    }
    return counts;
  }
}

describe("routes by what a request has", () => {
  const cases: readonly (readonly [object, readonly Asked[], readonly Asked[]])[] = [
    [{ method: ["POST", "PUT"] }, [{ method: "PUT" }], [{}, { method: "post" }]],
    [
      { headers: { "X-Beta": "1" } },
      [{ headers: { "x-beta": "1" } }],
      [{}, { headers: { "x-beta": "11" } }, { headers: { "x-beta": "" } }],
    ],
    [
      { headers: { "x-b": ["1", "2"] } },
      [{ headers: { "x-b": "2" } }],
      [{ headers: { "x-b": "3" } }],
    ],
    [{ headers: { "x-b": true } }, [{ headers: { "x-b": "" } }], [{}]],
    [{ headers: { "x-b": false } }, [{}], [{ headers: { "x-b": "" } }]],
    [
      { headers: { "x-b": { prefix: "ab" } } },
      [{ headers: { "x-b": "abc" } }],
      [{}, { headers: { "x-b": "cab" } }],
    ],
    [
      { headers: { "x-b": { suffix: "bc" } } },
      [{ headers: { "x-b": "abc" } }],
      [{ headers: { "x-b": "bcd" } }],
    ],
    [
      { headers: { "x-b": { contains: "b" } } },
      [{ headers: { "x-b": "abc" } }],
      [{ headers: { "x-b": "ac" } }],
    ],
    [
      { headers: { "x-b": { not: "a" } } },
      [{}, { headers: { "x-b": "b" } }],
      [{ headers: { "x-b": "a" } }],
    ],
    // The document has UTF-8, the wire has octets.
    [
      { headers: { "x-b": "é" } },
      [{ headers: { "x-b": "\u00c3\u00a9" } }],
      [{ headers: { "x-b": "\u00e9" } }],
    ],
    [
      { cookies: { beta: "1" } },
      [{ headers: { cookie: "a=b; beta=1" } }, { headers: { cookie: "beta=1; beta=2" } }],
      [{}, { headers: { cookie: "xbeta=1" } }, { headers: { cookie: "beta=2; beta=1" } }],
    ],
    [
      { query: { v: "2 é" } },
      [{ query: "v=2+%c3%a9" }, { query: "a&v=2%20%C3%A9&v=3" }, { query: "%76=2+%C3%A9" }],
      [{}, { query: "v=2" }, { query: "xv=2+%C3%A9" }, { query: "v=%" }],
    ],
    [
      { query: { debug: true } },
      [{ query: "debug" }, { query: "debug=" }],
      [{ query: "debugger" }],
    ],
    [
      { client_address: ["10.0.0.0/8", "2001:db8::/32"] },
      [
        { clientAddress: "10.1.2.3" },
        { clientAddress: "2001:db8::1" },
        { clientAddress: "::ffff:10.0.0.1" },
      ],
      [{ clientAddress: "11.0.0.1" }, { clientAddress: "::1" }, { clientAddress: "" }],
    ],
  ];
  for (const [match, matching, others] of cases)
    it(JSON.stringify(match), () => {
      const scene = new Scene({ routes: [{ match, to: "a" }], paths: { "/": "web" } });
      for (const asked of matching)
        expect(scene.to("/x", asked), JSON.stringify(asked)).to.equal("a");
      for (const asked of others)
        expect(scene.to("/x", asked), JSON.stringify(asked)).to.equal("web");
    });

  it("take the first that matches, by priority and then by the list, wherever its path is", () => {
    const scene = new Scene({
      routes: [
        { match: { path: "/a/b" }, to: "b" },
        { match: { path: "/a", headers: { "x-c": true } }, to: "c" },
        { match: { path: ["/a", { exact: "/only" }], method: "POST" }, to: "a", priority: 1 },
      ],
      paths: { "/a/b/c": "web" },
    });
    expect(scene.to("/a/b/c")).to.equal("b");
    expect(scene.to("/a/b/c", { headers: { "x-c": "" } })).to.equal("b");
    expect(scene.to("/a/x", { headers: { "x-c": "" } })).to.equal("c");
    expect(scene.to("/a/b", { method: "POST" })).to.equal("a");
    expect(scene.to("/only/", { method: "POST" })).to.equal("a");
    expect(scene.to("/only/more", { method: "POST" })).to.equal(null);
    expect(scene.to("/ab", { method: "POST" })).to.equal(null);
    expect(scene.to("/")).to.equal(null);
  });

  it("decide as a look at each one does, for any documents and requests", () => {
    const random = seeded(7);
    const any = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
    const paths = ["/", "/a", "/a/b", "/a/b/c", "/b", "/ab"];
    for (let round = 0; round < 200; round += 1) {
      const routes = Array.from({ length: 1 + Math.floor(random() * 8) }, () => ({
        path: any(paths),
        value: any(["1", "2", null]),
        priority: Math.floor(random() * 3),
        to: any(named),
      }));
      const scene = new Scene({
        routes: routes.map(({ path, value, priority, to }) => ({
          match: { path, ...(value === null ? {} : { headers: { "x-v": value } }) },
          priority,
          to,
        })),
      });
      const ordered = routes.toSorted((a, b) => b.priority - a.priority);
      for (let i = 0; i < 20; i += 1) {
        const path = any(paths) + any(["", "/", "/x"]);
        const value = any(["1", "2", "3"]);
        const covers = (prefix: string) =>
          prefix === "/" || path === prefix || path.startsWith(`${prefix}/`);
        const expected = ordered.find(
          (route) => covers(route.path) && (route.value === null || route.value === value),
        );
        const asked = path.replaceAll("//", "/");
        expect(scene.to(asked, { headers: { "x-v": value } })).to.equal(expected?.to ?? null);
      }
    }
  });
});

describe("a split of a service", () => {
  const split = (...sides: readonly object[]) => ({
    paths: { "/": { service: "shop", split: sides } },
  });
  const [v1, v2] = [
    { tag: "v1", share: 90 },
    { tag: "v2", share: 10 },
  ];

  it("narrows it to tags and metadata", () => {
    const scene = new Scene(split({ tag: "v1", share: 1 }));
    expect(new Set([scene.to("/"), scene.to("/")])).to.deep.equal(new Set(["one", "two"]));
    expect(new Scene(split({ meta: { version: "2" }, share: 1 })).to("/")).to.equal("new");
  });

  for (const seed of [1, 2, 3])
    it(`of 90 to 10 is that within half a point over 100,000 requests, seed ${seed}`, () => {
      const { v1: first = 0, v2: second = 0 } = new Scene(split(v1, v2), {}, seed).shares(100_000);
      expect(first).to.be.closeTo(90, 0.5);
      expect(second).to.be.closeTo(10, 0.5);
    });

  it("follows a ramp, and is that within half a point at each stop of it", () => {
    const ramp = { from: 0, start: "2026-06-01T00:00:00Z", end: "2026-06-01T10:00:00Z" };
    const document = split({ tag: "v1", share: 50 }, { tag: "v2", share: 50, ramp });
    const scene = new Scene(document);
    for (const [hours, expected] of [
      [-1, 0],
      [0, 0],
      [2, 100 / 6],
      [5, 100 / 3],
      [10, 50],
      [100, 50],
    ] as const) {
      scene.dateMs = Date.parse(ramp.start) + hours * 3_600_000;
      expect(scene.shares(100_000).v2 ?? 0, `${hours} h`).to.be.closeTo(expected, 0.5);
    }
  });

  it("follows a ramp in steps", () => {
    const ramp = { from: 0, start: "2026-06-01T00:00:00Z", end: "2026-06-01T04:00:00Z", steps: 4 };
    const scene = new Scene(split({ tag: "v1", share: 100 }, { tag: "v2", share: 100, ramp }));
    for (const [minutes, expected] of [
      [59, 0],
      [61, 20],
      [121, 100 / 3],
      [239, 300 / 7],
      [240, 50],
    ] as const) {
      scene.dateMs = Date.parse(ramp.start) + minutes * 60_000;
      expect(scene.shares(20_000).v2 ?? 0, `${minutes} min`).to.be.closeTo(expected, 1.5);
    }
  });

  it("follows a ramp at each time of a cron expression, up and down", () => {
    const [start, every] = ["2026-06-01T00:00:00Z", "0 * * * *"];
    const scene = new Scene(
      split(
        { tag: "v1", share: 0, ramp: { from: 90, start, every, by: 30 } },
        { tag: "v2", share: 90, ramp: { from: 0, start, every, by: 30 } },
      ),
    );
    for (const [minutes, expected] of [
      [-1, 0],
      [1, 100 / 3],
      [61, 200 / 3],
      [121, 100],
      [1_000, 100],
    ] as const) {
      scene.dateMs = Date.parse(start) + minutes * 60_000;
      expect(scene.shares(20_000).v2 ?? 0, `${minutes} min`).to.be.closeTo(expected, 1.5);
    }
  });

  it("sends a request to the side that it asks for, also to one without a share", () => {
    const scene = new Scene(
      split(v1, {
        ...v2,
        share: 0,
        force: [{ headers: { "x-v": "2" } }, { cookies: { beta: true } }],
      }),
    );
    for (let i = 0; i < 50; i += 1) {
      expect(scene.to("/", { headers: { "x-v": "2" } })).to.equal("new");
      expect(scene.to("/", { headers: { cookie: "beta=" } })).to.equal("new");
      expect(scene.to("/", { headers: { "x-v": "3" } })).to.not.equal("new");
    }
  });

  it("leaves a side out that has nobody, except for who asks for it", () => {
    const scene = new Scene(
      split(v1, { tag: "v3", share: 100, force: { headers: { "x-v": "3" } } }),
    );
    for (let i = 0; i < 50; i += 1) expect(scene.side()).to.equal("v1");
    expect(scene.to("/", { headers: { "x-v": "3" } })).to.equal(null);
  });

  it("leaves a side out while all of its servers are out, except for who asks for it, and tells so", () => {
    const scene = new Scene(split(v1, { ...v2, force: { headers: { "x-v": "2" } } }));
    const asked = { headers: { "x-v": "2" } };
    /** All servers of the side fail, until `fail_timeout` has passed. */
    const fail = (side: string) => {
      const found = scene.routes()?.shares.find(({ name }) => name === side)?.upstream ?? null;
      if (found === null) throw new Error(`there is a side ${side}`);
      for (const { address } of found.describe(scene.nowMs).peers) {
        const peer = found.find(({ key }) => key === address);
        if (peer !== null) found.failed(peer, scene.nowMs);
      }
    };
    const parts = () => scene.routes()?.shares.map(({ part, why }) => [part, why]);
    expect(scene.shares(2_000).v2).to.be.closeTo(10, 2);
    fail("v2");
    expect(Object.keys(scene.shares(500))).to.deep.equal(["v1"]);
    expect(scene.to("/", asked)).to.equal("new");
    expect(parts()).to.deep.equal([
      [1, null],
      [0, "no server of it is available, so other sides get its requests"],
    ]);
    // When every side is out, shares count as always, and servers are tried all the same.
    fail("v1");
    expect(scene.shares(2_000).v2).to.be.closeTo(10, 2);
    expect(parts()).to.deep.equal([
      [0.9, null],
      [0.1, null],
    ]);
    scene.nowMs = 20_000;
    expect(scene.shares(2_000).v2).to.be.closeTo(10, 2);
  });

  it("keeps a client on its side by a hash, which only a growing share changes, and to that share", () => {
    const sticky = { hash: { header: "x-user" }, to: "side" };
    const ramp = { from: 1, start: "2026-06-01T00:00:00Z", end: "2026-06-02T00:00:00Z" };
    const sides = [
      { tag: "v1", share: 90 },
      { tag: "v2", share: 90, ramp },
      { upstream: "web", share: 20 },
    ];
    const scene = new Scene({ paths: { "/": { service: "shop", split: sides, sticky } } });
    const users = Array.from({ length: 20_000 }, (_, at) => `user-${at}`);
    const all = () => users.map((user) => scene.side({ headers: { "x-user": user } }));
    let before = all();
    for (const hours of [1, 6, 12, 18, 24]) {
      scene.dateMs = Date.parse(ramp.start) + hours * 3_600_000;
      const now = all();
      const weight = 1 + (89 * hours) / 24;
      for (const [at, side] of now.entries())
        if (side !== before[at]) expect(side, `${before[at]} is left`).to.equal("v2");
      const share = now.filter((side) => side === "v2").length / users.length;
      expect(share * 100).to.be.closeTo((100 * weight) / (110 + weight), 1);
      before = now;
    }
  });

  it("keeps a client on its side by a hash when the order of the sides changes", () => {
    const sticky = { hash: "client", to: "side" };
    const sides = [v1, { tag: "v2", share: 90 }];
    const scenes = [sides, sides.toReversed()].map(
      (split) => new Scene({ paths: { "/": { service: "shop", split, sticky } } }),
    );
    for (let i = 0; i < 500; i += 1) {
      const asked = { clientAddress: `10.0.${i % 7}.${i}` };
      expect(scenes[0]?.side(asked)).to.equal(scenes[1]?.side(asked));
    }
  });
});
