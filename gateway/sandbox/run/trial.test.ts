import { expect } from "chai";
import { type Trial, versionOf } from "../../model/index.ts";
import { TestExchange } from "../fixtures/test-exchange.ts";
import { type Bench, source, tables, useBenches } from "../fixtures/test-sandbox.ts";
import { isInShare, seedOf } from "./script-table.ts";

const says = (text: string) =>
  `let calls = 0; export default () => respond({ body: "${text} " + ++calls });`;
const host = "a.example.com";
const trial = (text: string, share: number, by: string | null = "x-user"): [string, Trial] => [
  host,
  { source: source(text), share, by },
];

describe("the share of a trial", () => {
  const seed = seedOf(versionOf("a"));
  const addresses = Array.from({ length: 20_000 }, (_, at) => `10.1.${at >> 8}.${at & 255}`);
  const inside = (share: number, of = seed) =>
    new Set(addresses.filter((address) => isInShare(address, of, share)));

  it("is as large as it says", () => {
    expect(inside(0).size).to.equal(0);
    expect(inside(500).size).to.be.within(850, 1150);
    expect(inside(5_000).size).to.be.within(9_600, 10_400);
    expect(inside(10_000).size).to.equal(20_000);
  });

  it("keeps everybody in it while it widens", () => {
    expect(inside(500).isSubsetOf(inside(2_000))).to.equal(true);
  });

  it("begins with others for another version", () => {
    const other = inside(500, seedOf(versionOf("b")));
    expect(inside(500).intersection(other).size).to.be.below(150);
  });
});

describe("a version on trial", () => {
  const bench = useBenches();

  const bodyFor = (one: Bench, user: string, at = host): unknown => {
    const exchange = new TestExchange({ authority: at, headers: [["X-User", user]] });
    one.sandbox.hosts
      .get(at)
      ?.choose(exchange)
      ?.onRequest(exchange, { upstream: "", hashKey: "", authority: "" });
    return String(exchange.answered?.body ?? "").replace(/ \d+$/, "");
  };
  const users = Array.from({ length: 400 }, (_, at) => `user-${at}`);
  const bodies = (one: Bench, at = host) => users.map((user) => bodyFor(one, user, at));
  const count = (all: readonly unknown[], body: string) =>
    all.filter((each) => each === body).length;

  it("gets its share, by the header that it names, and the rest keeps the one before", () => {
    const one = bench({ ...tables(says("old")), trial: new Map([trial(says("new"), 2_500)]) });
    const first = bodies(one);
    expect(count(first, "new")).to.be.within(60, 140);
    expect(count(first, "old") + count(first, "new")).to.equal(users.length);
    expect(bodies(one), "the same users again").to.deep.equal(first);
  });

  it("goes by the client's address where the header is missing or none is named", () => {
    const one = bench({
      ...tables(says("old")),
      trial: new Map([trial(says("new"), 5_000, null)]),
    });
    expect(new Set(bodies(one)).size, "all come from one address").to.equal(1);
  });

  it("keeps its isolate and its counters when it becomes the one that is live", () => {
    const one = bench({ ...tables(says("old")), trial: new Map([trial(says("new"), 5_000)]) });
    bodies(one);
    const version = versionOf(says("new"));
    const calls = () => one.sandbox.reports().find((each) => each.version === version)?.calls ?? 0;
    const before = calls();
    expect(before).to.be.above(0);
    one.sandbox.apply(tables(says("new")));
    expect(one.sandbox.reports()).to.have.lengthOf(1);
    bodies(one);
    expect(calls()).to.equal(before + users.length);
  });

  it("leaves the rest alone when there is no version before it", () => {
    const alone = bench({ ...tables({}), trial: new Map([trial(says("new"), 5_000)]) });
    expect(new Set(bodies(alone))).to.deep.equal(new Set(["new", ""]));
    expect(alone.sandbox.hosts.get(host)?.isForAll).to.equal(false);
  });
});

describe("a script that fails", () => {
  const bench = useBenches();

  it("lets its request go on as it came when it says so, and is counted", () => {
    const text = `export const onError = "skip";
      export default function (request) { request.path = "/x"; throw new Error("no"); }`;
    const one = bench(tables(text));
    const { exchange } = one.request({ path: "/a" });
    expect(exchange.failure).to.equal(null);
    expect(exchange.path).to.equal("/a");
    expect(one.report()).to.include({ calls: 1, errors: 1 });
  });
});
