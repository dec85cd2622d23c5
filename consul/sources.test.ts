import { expect } from "chai";
import { until } from "../test/support/conditions.ts";
import { becomes } from "./fixtures/observed.ts";
import { describeSources, toWeb } from "./fixtures/sources-scene.ts";

describeSources((scene) => {
  it("emit what is there before they are ready, named services included", async () => {
    await scene.operator.register("thumb", 4001, { Tags: ["v2", "a"] });
    await scene.operator.put("upstreams/api", { servers: [{ host: "127.0.0.1", port: 5001 }] });
    await scene.operator.put("hosts/Shop.example", { paths: { "/": "api", "/t": "thumb" } });
    await scene.operator.put("scripts/shop.example", "export default () => {};");
    await scene.operator.put("modules/util", "export const a = 1;");
    await scene.operator.put("settings/limits", { max: 5 });
    await scene.begin();
    expect(scene.seen.keys("upstream")).to.deep.equal(["api"]);
    expect(scene.seen.keys("host")).to.deep.equal(["shop.example"]);
    expect(scene.seen.keys("script")).to.deep.equal(["shop.example"]);
    expect(scene.seen.keys("module")).to.deep.equal(["util"]);
    expect(scene.seen.value("setting", "limits")).to.deep.equal({ max: 5 });
    expect(scene.seen.value("catalog", "thumb")).to.deep.equal(["a", "v2"]);
    expect(scene.seen.ports("thumb")).to.deep.equal([4001]);
    expect(scene.seen.sources.status()).to.include({ servicesInUse: 1, polled: 0 });
    await scene.answersAgain();
  });

  it("follow every change, and a changed key alone", async () => {
    await scene.operator.put("hosts/a.example", toWeb);
    await scene.operator.put("hosts/b.example", toWeb);
    await scene.begin();
    const changed = () =>
      scene.seen.changes.filter(({ kind }) => kind === "host").map(({ key }) => key);
    const before = changed().length;
    await scene.operator.put("hosts/a.example", { paths: { "/": "web", "/x": "web" } });
    await until("it is there", () => changed().length > before);
    expect(changed().slice(before)).to.deep.equal(["a.example"]);
    await scene.operator.delete("hosts/b.example");
    await becomes(() => scene.seen.keys("host"), ["a.example"]);
  });

  it("keep the last good value of what breaks, and say which key", async () => {
    await scene.operator.put("hosts/a.example", toWeb);
    await scene.begin();
    await scene.operator.put("hosts/a.example", "{");
    await scene.operator.put("upstreams/api", { servers: [{ host: "127.0.0.1", port: 70_000 }] });
    const refused = () => scene.seen.sources.status().refused.map(({ error }) => error);
    await until("both are refused", () => refused().length === 2);
    expect(refused()).to.include("sluice/upstreams/api: servers[0].port: 70000 is above 65535");
    expect(scene.seen.keys("host")).to.deep.equal(["a.example"]);
    await scene.operator.delete("upstreams/api");
    await scene.operator.put("hosts/a.example", toWeb);
    await becomes(refused, []);
  });

  it("do not read 10,000 host documents because a script changed", async () => {
    const hosts = Array.from({ length: 10_000 }, (_, at) => `hosts/h${at}.example`);
    for (let at = 0; at < hosts.length; at += 64) {
      const operations = hosts.slice(at, at + 64).map((key) => ({
        KV: {
          Verb: "set",
          Key: `sluice/${key}`,
          Value: Buffer.from(JSON.stringify(toWeb)).toString("base64"),
        },
      }));
      await scene.operator.send("PUT", "/v1/txn", operations);
    }
    // No wait ends while this goes on: that would be an answer, too.
    await scene.begin({ waitMs: 600_000 });
    expect(scene.seen.keys("host")).to.have.length(10_000);
    const answersFor = (name: string) =>
      scene.seen.sources.status().watches.find((watch) => watch.name === name)?.answers;
    const before = scene.seen.changes.length;
    await scene.operator.put("scripts/h1.example", "export default () => {};");
    await until("the script is there", () => scene.seen.changes.length > before);
    expect(answersFor("sluice/hosts/")).to.equal(1);
    await scene.operator.put("hosts/h5.example", { paths: { "/": "other" } });
    await until("the host is there", () => scene.seen.changes.length > before + 1);
    const emitted = scene.seen.changes
      .slice(before)
      .map((change) => `${change.kind} ${change.key}`);
    // The document names a service now, which has a list of its own.
    expect(emitted.filter((change) => change !== "service other")).to.deep.equal([
      "script h1.example",
      "host h5.example",
    ]);
    await until("the hosts were read twice", () => answersFor("sluice/hosts/") === 2);
  });
});
