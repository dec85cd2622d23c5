import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { HostDocument } from "../model/index.ts";
import { DocumentError } from "./document-error.ts";
import { parseHostDocument } from "./host-document.ts";

const key = "sluice/hosts/shop.example";
const read = (document: object): HostDocument => parseHostDocument(key, JSON.stringify(document));

function refused(document: object): string {
  try {
    read(document);
  } catch (error) {
    if (error instanceof DocumentError) return error.message.slice(key.length + 2);
    throw error;
  }
  return "it is taken";
}

const to = "web";

describe("the routes of a host document", () => {
  it("are read into conditions, in the order of priority and then of the list", () => {
    const { routes = [], paths } = read({
      routes: [
        { match: { path: "/a/" }, to },
        { name: "beta", match: { headers: { "X-Beta": "é" }, method: "GET" }, priority: 5, to },
        { match: { path: ["/b", { exact: "/c" }], client_address: "10.0.0.0/8" }, upstream: "b" },
      ],
    });
    expect(paths).to.deep.equal([]);
    expect(routes.map(({ name }) => name)).to.deep.equal([
      "routes[1] (beta)",
      "routes[0]",
      "routes[2]",
    ]);
    expect(routes[0]?.conditions).to.deep.equal({
      methods: ["GET"],
      values: [{ in: "header", name: "x-beta", test: { is: ["\u00c3\u00a9"] } }],
    });
    expect(routes[2]?.paths).to.deep.equal([{ prefix: "/b" }, { prefix: "/c", exact: true }]);
  });

  const wrong: readonly (readonly [object, string])[] = [
    [{ routes: [] }, "has neither paths nor routes"],
    [{ routes: [{ to }] }, "routes[0].match: is missing"],
    [{ routes: [{ match: {} }] }, "routes[0]: has neither upstream nor split"],
    [{ routes: [{ match: { path: "x" }, to }] }, 'routes[0].match.path: "x" does not start with /'],
    [
      { routes: [{ match: { path: "/a/../b" }, to }] },
      'routes[0].match.path: "/a/../b" has a "." or ".." segment',
    ],
    [
      { routes: [{ match: { method: "GET /" }, to }] },
      'routes[0].match.method: "GET /" is not a method',
    ],
    [
      { routes: [{ match: { method: ["GET", "put"] }, to }] },
      'routes[0].match.method[1]: "put" is not a method in upper case',
    ],
    [
      { routes: [{ match: { headers: { "x y": "1" } }, to }] },
      'routes[0].match.headers["x y"]: is not a name that a field can have',
    ],
    [
      { routes: [{ match: { headers: { "x-a": "1\r\nx: y" } }, to }] },
      "has a control character, which no request has there",
    ],
    [
      { routes: [{ match: { client_address: "10.0.0.0/33" }, to }] },
      'routes[0].match.client_address: "10.0.0.0/33" is not an address or a CIDR block',
    ],
    [{ routes: [{ match: { regex: ".*" }, to }] }, 'routes[0].match: unknown field "regex"'],
    [
      { routes: [{ match: {}, to, host: "peer" }] },
      "routes[0].to: goes with match, name and priority only",
    ],
    [
      { routes: [{ match: {}, upstream: to, host: "a b" }] },
      'routes[0].host: "a b" is not "keep", "peer" or a host',
    ],
  ];
  for (const [document, problem] of wrong)
    it(`are refused by field: ${problem}`, () => {
      expect(refused(document)).to.contain(problem);
    });

  it("may be very many under different paths, and few for one path", () => {
    const many = (path: (at: number) => string) => ({
      routes: Array.from({ length: 7_000 }, (_, at) => ({
        match: { path: path(at), headers: { a: "" } },
        to,
      })),
    });
    expect(read(many((at) => `/p${at}`)).routes).to.have.length(7_000);
    expect(refused(many(() => "/p"))).to.match(
      /^routes: a request may have to go through 14000 tests, more than 1000/,
    );
    expect(refused(many((at) => `/p${"/x".repeat(at & 15)}`))).to.match(/^routes: a request may/);
    const headers = Array.from({ length: 51 }, (_, at) => ({
      match: { path: `/p${at}`, headers: { [`x-${at}`]: true } },
      to,
    }));
    expect(refused({ routes: headers })).to.equal(
      "routes: they look at 51 different headers, more than 50",
    );
  });
});

describe("the examples of the page on documents", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/documents.md"), "utf8");
  const examples = Array.from(page.matchAll(/```json\n(.*?)```/gs), ([, text = ""]) => text).filter(
    (text) => /^ {2}"(paths|routes)":/m.test(text),
  );

  it("can be pasted", () => {
    expect(examples.length).to.be.above(3);
    for (const text of examples) expect(() => parseHostDocument(key, text), text).to.not.throw();
  });
});

describe("the sides of a split", () => {
  const path = (target: object) => ({ paths: { "/": target } });

  it("are tags and metadata of a service, or upstreams", () => {
    const { paths } = read(
      path({
        service: "shop",
        split: [
          { tag: "V1", share: 90 },
          { meta: { version: "2" }, share: 10, force: { cookies: { beta: true } } },
          { upstream: "old", share: 0, name: "before" },
        ],
      }),
    );
    expect(paths[0]?.shares).to.deep.equal([
      { upstream: "shop", weight: 90, subset: { tag: "v1" }, name: "v1" },
      {
        upstream: "shop",
        weight: 10,
        subset: { meta: { version: "2" } },
        name: "version=2",
        forced: [{ values: [{ in: "cookie", name: "beta", test: { present: true } }] }],
      },
      { upstream: "old", weight: 0, name: "before" },
    ]);
  });

  const ramp = { from: 0, start: "2026-01-01T00:00:00Z", end: "2026-01-02T00:00:00+01:00" };
  it("may grow at each time of a cron expression, in a time zone", () => {
    const every = { every: "0 9 * * 1-5", by: 20, timezone: "Europe/Berlin" };
    const start = "2026-10-23T12:00:00Z";
    const { paths } = read(
      path({
        split: [
          { upstream: "a", share: 100 },
          { upstream: "b", share: 50, ramp: { from: 0, start, ...every } },
        ],
      }),
    );
    // It is a Friday afternoon; on the Sunday the clocks are set back.
    const times = ["2026-10-26T08:00:00Z", "2026-10-27T08:00:00Z", "2026-10-28T08:00:00Z"];
    expect(paths[0]?.shares[1]?.ramp).to.deep.equal({
      ...{ from: 0, by: 20, atMs: times.map((time) => Date.parse(time)) },
    });
  });

  const wrong: readonly (readonly [object, string])[] = [
    [
      {
        split: [
          { upstream: "a", share: 9, ramp: { from: 0, start: ramp.start, every: "x", by: 1 } },
        ],
      },
      "split[0].ramp.every",
    ],
    [
      {
        split: [
          {
            upstream: "a",
            share: 900,
            ramp: { from: 0, start: ramp.start, every: "* * * * *", by: 1 },
          },
        ],
      },
      "split[0].ramp.by: it takes 900 times; all ramps of a document may have 200",
    ],
    [
      {
        split: [
          {
            ...{ upstream: "a", share: 90 },
            ramp: { from: 0, start: ramp.start, every: "0 0 30 2 *", by: 1 },
          },
        ],
      },
      "split[0].ramp.every: ",
    ],
    [{ service: "shop" }, 'paths["/"].service: goes with a split of it'],
    [{ upstream: "a", split: { b: 1 } }, 'paths["/"]: has both upstream and split'],
    [{ split: [{ tag: "v1", share: 1 }] }, "split[0]: has a tag or metadata of no service"],
    [{ split: [{ share: 1 }] }, "split[0]: has no upstream"],
    [{ service: "a", split: [{ share: 1 }] }, "split[0]: has no upstream, tag or meta"],
    [{ split: [{ upstream: "a", share: 0 }] }, "split: every share is 0"],
    [
      {
        split: [
          { upstream: "a", share: 1 },
          { upstream: "a", share: 2 },
        ],
      },
      'split: two sides are named "a"',
    ],
    [
      { split: [{ upstream: "v1.shop.service.consul", tag: "v2", share: 1 }] },
      'split[0]: "v1.shop.service.consul" has a tag already',
    ],
    [
      { split: [{ upstream: "a", share: 1, force: {} }] },
      "split[0].force: asks nothing of a request",
    ],
    [
      { split: [{ upstream: "a", share: 1, ramp: { ...ramp, end: ramp.start } }] },
      "split[0].ramp.end: is not after start",
    ],
    [
      { split: [{ upstream: "a", share: 1, ramp: { ...ramp, start: "tomorrow" } }] },
      'split[0].ramp.start: "tomorrow" is not a time such as 2026-12-01T08:00:00Z',
    ],
    [
      {
        split: Array.from({ length: 11 }, (_, at) => ({
          ...{ upstream: `a${at}`, share: 1 },
          force: Array.from({ length: 10 }, () => ({ method: "GET" })),
        })),
      },
      "split: its sides force requests by 220 tests, more than 200",
    ],
    [{ upstream: "a", sticky: {} }, "sticky: has to have one of cookie and hash"],
    [{ upstream: "a", sticky: { cookie: "a b" } }, "sticky.cookie"],
    [
      { upstream: "a", sticky: { hash: "client", to: "side" } },
      "sticky.to: there is no split with sides",
    ],
    [
      { upstream: "a", sticky: { cookie: { name: "c", same_site: "none", secure: false } } },
      'sticky.cookie.secure: browsers refuse same_site "none" without it',
    ],
  ];
  for (const [target, problem] of wrong)
    it(`are refused by field: ${problem}`, () => {
      expect(refused(path(target))).to.contain(problem);
    });
});
