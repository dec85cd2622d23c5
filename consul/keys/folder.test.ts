import { expect } from "chai";
import { SiteNames } from "../../gateway/model/index.ts";
import { ManualClock } from "../fixtures/clocks.ts";
import { Folder } from "./folder.ts";
import { decodeItems, type KvItem } from "./kv.ts";

const item = (name: string, text: string, modifyIndex: number): KvItem => ({
  key: `sluice/hosts/${name}`,
  modifyIndex,
  createIndex: 1,
  encoded: Buffer.from(text).toString("base64"),
  session: null,
});
const toWeb = '{"paths":{"/":"web"}}';
const toApi = '{"paths":{"/":"api"}}';

function open(previous?: ConstructorParameters<typeof Folder<"host">>[0]["previous"]) {
  const lines: string[] = [];
  const keep = (_: object, message: string) => void lines.push(message);
  const folder = new Folder({
    kind: "host",
    prefix: "sluice/hosts/",
    clock: new ManualClock(),
    log: { debug: keep, info: keep, warn: keep },
    sites: () => new SiteNames("dc1"),
    previous,
  });
  const apply = (
    items: readonly KvItem[],
    event: { backwards?: boolean; afterError?: boolean } = {},
  ) =>
    folder
      .apply({
        // Above what its items were made at.
        index: 1_000,
        value: items,
        filtered: false,
        backwards: false,
        afterError: false,
        ...event,
      })
      .map(({ key, value }) => `${key}${value === null ? " gone" : ""}`);
  return { folder, apply, lines };
}

describe("a folder of keys", () => {
  it("refuses by key what names another tenant's upstream, and keeps what was good", () => {
    const keep = () => {};
    const folder = new Folder({
      kind: "host",
      prefix: "sluice/hosts/",
      clock: new ManualClock(),
      log: { debug: keep, info: keep, warn: keep },
      sites: () => new SiteNames("dc1"),
      foreignIn: (kind, name, value) =>
        kind === "host" && JSON.stringify(value).includes("api") ? `${name} may not` : null,
    });
    const event = { index: 1_000, filtered: false, backwards: false, afterError: false };
    const first = folder.apply({ ...event, value: [item("a", toWeb, 1), item("b", toApi, 1)] });
    expect(first.map(({ key }) => key)).to.deep.equal(["a"]);
    expect(folder.apply({ ...event, value: [item("a", toApi, 2)] })).to.deep.equal([]);
    expect(folder.values.get("a")?.paths[0]?.shares[0]?.upstream).to.equal("web");
    expect(folder.refused().map(({ error }) => error)).to.deep.equal(["sluice/hosts/a: a may not"]);
  });

  it("emits only the keys whose ModifyIndex changed", () => {
    const { apply } = open();
    expect(apply([item("a", toWeb, 1), item("b", toWeb, 2)])).to.deep.equal(["a", "b"]);
    expect(apply([item("a", toWeb, 1), item("b", toApi, 3)])).to.deep.equal(["b"]);
    expect(apply([item("b", toApi, 3)])).to.deep.equal(["a gone"]);
  });

  it("keeps the last good value of a key that breaks, and lists it once", () => {
    const { apply, folder, lines } = open();
    apply([item("a", toWeb, 1)]);
    expect(apply([item("a", "{", 2)])).to.deep.equal([]);
    expect(apply([item("a", "{", 2), item("b", toWeb, 3)])).to.deep.equal(["b"]);
    expect(folder.values.get("a")?.paths[0]?.shares[0]?.upstream).to.equal("web");
    expect(lines).to.have.length(1);
    expect(folder.refused()).to.have.length(1);
    expect(folder.refused()[0]).to.include({ key: "sluice/hosts/a", modifyIndex: 2 });
    expect(folder.refused()[0]?.error).to.contain(
      "sluice/hosts/a: is not JSON at line 1, column 2",
    );
    expect(apply([item("a", "[", 4), item("b", toWeb, 3)])).to.deep.equal([]);
    expect(lines).to.have.length(2);
  });

  it("forgets a refusal when the key is fixed or deleted", () => {
    const { apply, folder } = open();
    apply([item("a", "{", 1), item("b", "{", 2)]);
    expect(folder.refused()).to.have.length(2);
    expect(apply([item("a", toWeb, 3)])).to.deep.equal(["a"]);
    expect(folder.refused()).to.deep.equal([]);
  });

  it("removes the last good value when a broken key is deleted", () => {
    const { apply } = open();
    apply([item("a", toWeb, 1)]);
    apply([item("a", "{", 2)]);
    expect(apply([])).to.deep.equal(["a gone"]);
  });

  it("refuses by key what cannot be named", () => {
    const { apply, folder } = open();
    expect(apply([item("", "", 1), item("sub/", "", 2), item("a b", toWeb, 3)])).to.deep.equal([]);
    expect(folder.refused().map(({ key }) => key)).to.deep.equal([
      "sluice/hosts/",
      "sluice/hosts/sub/",
      "sluice/hosts/a b",
    ]);
  });

  it("lets the key that is spelt as the host win, and its rival take over when it goes", () => {
    const { apply, folder } = open();
    expect(apply([item("A.example", toWeb, 1), item("a.example", toApi, 2)])).to.deep.equal([
      "a.example",
    ]);
    expect(folder.values.get("a.example")?.paths[0]?.shares[0]?.upstream).to.equal("api");
    expect(folder.refused()[0]?.error).to.equal(
      "sluice/hosts/A.example: names the same as sluice/hosts/a.example, which holds",
    );
    expect(apply([item("A.example", toWeb, 1)])).to.deep.equal(["a.example"]);
    expect(folder.refused()).to.deep.equal([]);
  });

  it("has one entry for every spelling of a service: the site's own name wins, else the first", () => {
    const { apply, folder } = open();
    const short = item("shop", toWeb, 1);
    const long = item("shop.service.consul", toApi, 2);
    const own = item("shop.service.dc1.consul", toApi, 3);
    const refused = () => folder.refused().map(({ error }) => error);
    expect(apply([own])).to.deep.equal(["shop"]);
    expect(refused()).to.deep.equal([]);
    expect(apply([short, long, own])).to.deep.equal(["shop"]);
    expect(folder.values.get("shop")?.paths[0]?.shares[0]?.upstream).to.equal("web");
    expect(refused()).to.have.members([
      "sluice/hosts/shop.service.consul: names the same as sluice/hosts/shop, which holds",
      "sluice/hosts/shop.service.dc1.consul: names the same as sluice/hosts/shop, which holds",
    ]);
    expect(apply([long, own])).to.deep.equal(["shop"]);
    expect(refused()).to.deep.equal([
      "sluice/hosts/shop.service.dc1.consul: names the same as sluice/hosts/shop.service.consul, which holds",
    ]);
    expect(apply([])).to.deep.equal(["shop gone"]);
    expect(apply([item("v2.shop.service.consul", toWeb, 9)])).to.deep.equal([]);
    expect(refused()[0]).to.contain("has a tag of a service");
  });

  it("refuses what is not UTF-8", () => {
    const { apply, folder } = open();
    apply([{ ...item("a", "", 1), encoded: Buffer.from([0x22, 0xff, 0x22]).toString("base64") }]);
    expect(folder.refused()[0]?.error).to.equal("sluice/hosts/a: is not UTF-8");
  });

  it("reads all anew from a Consul whose index went backwards, and holds the rest", () => {
    const { apply, folder } = open();
    apply([item("a", toWeb, 1), item("b", toWeb, 2)]);
    expect(apply([item("a", toApi, 1)], { backwards: true })).to.deep.equal(["a"]);
    expect(folder.values.get("a")?.paths[0]?.shares[0]?.upstream).to.equal("api");
    expect(folder.held().map(({ name }) => name)).to.deep.equal(["b"]);
    expect(folder.values.has("b")).to.equal(true);
    expect(folder.release()).to.deep.equal([{ kind: "host", key: "b", value: null }]);
    expect(folder.values.has("b")).to.equal(false);
  });

  it("doubts an answer after an error in which every key was made anew", () => {
    const { apply, folder } = open();
    apply([item("a", toWeb, 5), item("b", toWeb, 6)]);
    apply([{ ...item("a", toApi, 90), createIndex: 90 }], { afterError: true });
    expect(folder.held().map(({ name }) => name)).to.deep.equal(["b"]);
    // One key that is the same as ever shows that it is the same Consul.
    const other = open();
    other.apply([item("a", toWeb, 5), item("b", toWeb, 6)]);
    expect(other.apply([item("a", toApi, 90)], { afterError: true })).to.deep.equal([
      "a",
      "b gone",
    ]);
  });

  it("begins from what worked before the process started", () => {
    const { apply, folder } = open(
      new Map([
        ["a", { enable: true, paths: [] }],
        ["b", { enable: true, paths: [] }],
      ]),
    );
    expect(folder.values.size).to.equal(2);
    expect(apply([item("a", toWeb, 1)])).to.deep.equal(["a", "b gone"]);
    const empty = open(new Map([["a", { enable: true, paths: [] }]]));
    expect(empty.apply([])).to.deep.equal([]);
    expect(empty.folder.held()).to.have.length(1);
  });

  it("gives a script's source its SHA-256 and its ModifyIndex", () => {
    const log = { debug: () => {}, info: () => {}, warn: () => {} };
    const sites = () => new SiteNames(null);
    const clock = new ManualClock();
    const folder = new Folder({ kind: "script", prefix: "s/", clock, log, sites });
    const value = [
      { ...item("", "", 7), key: "s/a.example", encoded: Buffer.from("export").toString("base64") },
    ];
    const changes = folder.apply({
      index: 1_000,
      value,
      filtered: false,
      backwards: false,
      afterError: false,
    });
    expect(changes).to.deep.equal([
      {
        kind: "script",
        key: "a.example",
        value: {
          text: "export",
          version: "d46aee08cc49f6d1eb41800c1d6bab4506c960c700cff0efffe490d7cb1de5e3",
          modifyIndex: 7,
        },
      },
    ]);
  });
});

describe("the answer for a folder", () => {
  it("is no answer when any entry is none", () => {
    const good = { Key: "p/a", ModifyIndex: 1, CreateIndex: 1, Value: "e30=" };
    expect(decodeItems("w", "p/", [good])).to.have.length(1);
    for (const bad of [
      null,
      5,
      {},
      { ...good, Key: "q/a" },
      { ...good, ModifyIndex: "1" },
      { ...good, Value: 5 },
    ])
      expect(() => decodeItems("w", "p/", [good, bad])).to.throw("w: the answer has");
    expect(() => decodeItems("w", "p/", { Key: "a" })).to.throw("w: the answer is no list of keys");
  });
});
