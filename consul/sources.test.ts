import { expect } from "chai";
import { until } from "../test/support/conditions.ts";
import {
  consulKinds,
  findRealConsul,
  startRealConsul,
  type TestConsul,
} from "../test/support/consul.ts";
import { fastClock, jumpingClock } from "./fixtures/clocks.ts";
import { becomes, Operator, observe, type WatchedSources } from "./fixtures/observed.ts";

const toWeb = { paths: { "/": "web" } };

for (const kind of consulKinds())
  describe(`sources on ${kind.name}`, function () {
    this.timeout(40_000);
    let consul: TestConsul;
    let operator: Operator;
    let seen: WatchedSources;

    before(async () => {
      consul = await kind.start();
      operator = new Operator(consul.url);
    });
    afterEach(async () => {
      await seen.stop();
      await operator.clear();
    });
    after(() => consul.stop());

    const begin = async (options: Parameters<typeof observe>[1] = {}) => {
      seen = observe(consul.url, options);
      await seen.sources.whenReady();
    };
    const heldKeys = () =>
      seen.sources
        .status()
        .held.map((entry) => `${entry.kind} ${entry.key}`)
        .sort();
    const watchedServices = () =>
      seen.sources
        .status()
        .watches.map(({ name }) => name)
        .filter((name) => name.startsWith("service "));
    const answersAgain = () =>
      until("Consul answers again", () => {
        const { stale, watches } = seen.sources.status();
        return stale === null && watches.every(({ state }) => state === "ok");
      });

    it("emit what is there before they are ready, named services included", async () => {
      await operator.register("thumb", 4001, { Tags: ["v2", "a"] });
      await operator.put("upstreams/api", { servers: [{ host: "127.0.0.1", port: 5001 }] });
      await operator.put("hosts/Shop.example", { paths: { "/": "api", "/t": "thumb" } });
      await operator.put("scripts/shop.example", "export default () => {};");
      await operator.put("modules/util", "export const a = 1;");
      await operator.put("settings/limits", { max: 5 });
      await begin();
      expect(seen.keys("upstream")).to.deep.equal(["api"]);
      expect(seen.keys("host")).to.deep.equal(["shop.example"]);
      expect(seen.keys("script")).to.deep.equal(["shop.example"]);
      expect(seen.keys("module")).to.deep.equal(["util"]);
      expect(seen.value("setting", "limits")).to.deep.equal({ max: 5 });
      expect(seen.value("catalog", "thumb")).to.deep.equal(["a", "v2"]);
      expect(seen.ports("thumb")).to.deep.equal([4001]);
      expect(seen.sources.status()).to.include({ stale: null, servicesInUse: 1, polled: 0 });
    });

    it("follow every change, and a changed key alone", async () => {
      await operator.put("hosts/a.example", toWeb);
      await operator.put("hosts/b.example", toWeb);
      await begin();
      const before = seen.changes.length;
      await operator.put("hosts/a.example", { paths: { "/": "web", "/x": "web" } });
      await until("it is there", () => seen.changes.length > before);
      expect(seen.changes.slice(before).map(({ key }) => key)).to.deep.equal(["a.example"]);
      await operator.delete("hosts/b.example");
      await becomes(() => seen.keys("host"), ["a.example"]);
    });

    it("keep the last good value of what breaks, and say which key", async () => {
      await operator.put("hosts/a.example", toWeb);
      await begin();
      await operator.put("hosts/a.example", "{");
      await operator.put("upstreams/api", { servers: [{ host: "127.0.0.1", port: 70_000 }] });
      const refused = () => seen.sources.status().refused.map(({ error }) => error);
      await until("both are refused", () => refused().length === 2);
      expect(refused()).to.include("sluice/upstreams/api: servers[0].port: 70000 is above 65535");
      expect(seen.keys("host")).to.deep.equal(["a.example"]);
      await operator.delete("upstreams/api");
      await operator.put("hosts/a.example", toWeb);
      await becomes(refused, []);
    });

    it("watch a service from the first request for it, with its health", async () => {
      await operator.register("thumb", 4001);
      await begin();
      expect(seen.keys("service")).to.deep.equal([]);
      seen.sources.use("thumb");
      await becomes(() => seen.ports("thumb"), [4001]);
      await operator.register("thumb", 4002, { Check: { TTL: "1h", Status: "critical" } });
      await operator.register("thumb", 4003, {
        Check: { TTL: "1h", Status: "warning" },
        Weights: { Passing: 10, Warning: 2 },
      });
      await becomes(() => seen.ports("thumb"), [4001, 4003]);
      expect(seen.value("service", "thumb")).to.have.nested.property("[1].weight", 2);
      await operator.send("PUT", "/v1/agent/check/pass/service:thumb-4002");
      await becomes(() => seen.ports("thumb"), [4001, 4002, 4003]);
      await operator.deregister("thumb", 4001);
      await becomes(() => seen.ports("thumb"), [4002, 4003]);
    });

    it("answer at once for a service that does not exist, and watch nothing", async () => {
      await begin();
      seen.sources.use("nobody");
      seen.sources.use("thumb@nowhere");
      seen.sources.use("../../kv/secret");
      await becomes(() => seen.value("service", "nobody"), []);
      await becomes(() => seen.value("service", "thumb@nowhere"), []);
      expect(seen.sources.status().servicesInUse).to.equal(0);
      // It comes to be while whoever asked may still be interested.
      await operator.register("nobody", 4009);
      await becomes(() => seen.ports("nobody"), [4009]);
    });

    it("know the own datacenter, and its services by names with and without it", async () => {
      await operator.register("thumb", 4001);
      await operator.put("upstreams/t", { service: "thumb.service.dc1.consul" });
      await begin();
      expect(seen.value("datacenter", "dc1")).to.deep.equal({ own: true, catalog: true });
      expect(seen.ports("thumb")).to.deep.equal([4001]);
      seen.sources.use("thumb@dc1");
      seen.sources.use("@dc1");
      seen.sources.use("@nowhere");
      await becomes(() => seen.value("service", "thumb@dc1"), []);
      expect(seen.sources.status()).to.include({ servicesInUse: 1, polled: 0 });
      expect(seen.sources.status().watches).to.have.length(8);
    });

    it("drop a service that no document names any more", async () => {
      await operator.register("thumb", 4001);
      await operator.put("upstreams/t", { service: "thumb.service.consul" });
      await begin();
      expect(seen.ports("thumb")).to.deep.equal([4001]);
      await operator.delete("upstreams/t");
      await becomes(() => seen.value("service", "thumb") ?? null, null);
      expect(seen.sources.status().servicesInUse).to.equal(0);
    });

    it("follow services beyond the watches by what their nodes tell, and give one a watch that is free", async () => {
      const names = ["a", "b", "c", "d"];
      for (const [at, name] of names.entries()) await operator.register(name, 4001 + at);
      await operator.put("upstreams/t", { service: "a" });
      await begin({ maxServiceWatches: 1 });
      for (const name of names.slice(1)) seen.sources.use(name);
      await becomes(() => names.map((name) => seen.ports(name)[0]), [4001, 4002, 4003, 4004]);
      expect(seen.sources.status()).to.include({ servicesInUse: 4, polled: 3 });
      await operator.register("c", 5003);
      await becomes(() => seen.ports("c"), [4003, 5003]);
      expect(watchedServices()).to.deep.equal(["service a"]);
      await operator.delete("upstreams/t");
      await becomes(() => seen.sources.status().servicesInUse, 3);
      expect(seen.sources.status().polled).to.equal(2);
      expect(watchedServices()).to.deep.equal(["service d"]);
      await operator.deregister("c", 4003);
      await becomes(() => seen.ports("c"), [5003]);
      await operator.deregister("c", 5003);
      await becomes(() => seen.ports("c"), []);
    });

    it("give the watch of a service that left the catalog to others, until it is back", async () => {
      await operator.register("gone", 4001);
      await operator.register("next", 4002);
      await begin({ maxServiceWatches: 1 });
      seen.sources.use("gone");
      seen.sources.use("next");
      await becomes(() => seen.ports("next"), [4002]);
      expect(watchedServices()).to.deep.equal(["service gone"]);
      await operator.deregister("gone", 4001);
      await becomes(watchedServices, ["service next"]);
      expect(seen.value("service", "gone")).to.deep.equal([]);
      expect(seen.sources.status()).to.include({ servicesInUse: 2, polled: 0 });
      await operator.register("gone", 4003);
      await becomes(() => seen.ports("gone"), [4003]);
      expect(seen.sources.status()).to.include({ servicesInUse: 2, polled: 1 });
      await operator.deregister("gone", 4003);
      await becomes(() => seen.ports("gone"), []);
      await becomes(() => seen.sources.status().polled, 0);
      await operator.deregister("next", 4002);
      await becomes(watchedServices, []);
      await operator.register("next", 4004);
      await becomes(() => seen.ports("next"), [4004]);
      expect(watchedServices()).to.deep.equal(["service next"]);
    });

    it("keep the watch of a service that is held", async () => {
      await operator.register("thumb", 4001);
      await begin();
      seen.sources.use("thumb");
      await becomes(() => seen.ports("thumb"), [4001]);
      await consul.restart({ keepData: false });
      await answersAgain();
      await becomes(heldKeys, ["catalog thumb", "service thumb"]);
      expect(watchedServices()).to.deep.equal(["service thumb"]);
      seen.sources.release();
      await becomes(watchedServices, []);
      expect(seen.value("service", "thumb")).to.deep.equal([]);
    });

    it("drop a service some minutes after it left the catalog, and what never was in it", async () => {
      await operator.register("thumb", 4001);
      const clock = jumpingClock();
      await begin({ clock });
      seen.sources.use("nobody");
      await becomes(() => seen.value("service", "nobody"), []);
      clock.jump(10_000);
      await becomes(() => seen.value("service", "nobody") ?? null, null);
      seen.sources.use("thumb");
      await becomes(() => seen.ports("thumb"), [4001]);
      await operator.deregister("thumb", 4001);
      await becomes(() => seen.value("service", "thumb"), []);
      // Once its absence was noticed.
      await until("nothing asks for it any more", () => watchedServices().length === 0);
      clock.jump(5_000);
      expect(seen.sources.status().servicesInUse).to.equal(1);
      await until("it is dropped", () => {
        clock.jump(60_000);
        return (seen.value("service", "thumb") ?? null) === null;
      });
      expect(seen.sources.status().servicesInUse).to.equal(0);
    });

    it("have 100 watches for 130 services and their node, within Consul's limit for an address", async () => {
      const names = Array.from({ length: 130 }, (_, at) => `s${at}`);
      for (const [at, name] of names.entries()) await operator.register(name, 4001 + at);
      await begin();
      for (const name of names) seen.sources.use(name);
      await until("all have instances", () =>
        names.every((name, at) => seen.ports(name)[0] === 4001 + at),
      );
      // Nodes, the checks that are critical and that warn, and the one node.
      await becomes(() => seen.sources.status().polled, 34);
      const { watches, servicesInUse, stale } = seen.sources.status();
      expect({ servicesInUse, stale }).to.deep.equal({ servicesInUse: 130, stale: null });
      expect(watches).to.have.length(107);
      await answersAgain();
      expect(watches.filter(({ state }) => state === "failing")).to.deep.equal([]);
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
        await operator.send("PUT", "/v1/txn", operations);
      }
      await begin();
      expect(seen.keys("host")).to.have.length(10_000);
      const answersFor = (name: string) =>
        seen.sources.status().watches.find((watch) => watch.name === name)?.answers;
      const before = seen.changes.length;
      await operator.put("scripts/h1.example", "export default () => {};");
      await until("the script is there", () => seen.changes.length > before);
      expect(answersFor("sluice/hosts/")).to.equal(1);
      await operator.put("hosts/h5.example", { paths: { "/": "other" } });
      await until("the host is there", () => seen.changes.length > before + 1);
      const emitted = seen.changes.slice(before).map((change) => `${change.kind} ${change.key}`);
      // The document names a service now, which has a list of its own.
      expect(emitted.filter((change) => change !== "service other")).to.deep.equal([
        "script h1.example",
        "host h5.example",
      ]);
      await until("the hosts were read twice", () => answersFor("sluice/hosts/") === 2);
    });

    it("keep everything while Consul is away, say so, and go on when it is back", async () => {
      await operator.register("thumb", 4001);
      await operator.put("hosts/a.example", { paths: { "/": "thumb" } });
      await begin();
      const before = JSON.stringify([seen.keys("host"), seen.ports("thumb")]);
      await consul.kill();
      await until("it is stale", () => seen.sources.status().stale !== null);
      expect(seen.sources.status().stale?.error).to.contain(consul.url);
      expect(JSON.stringify([seen.keys("host"), seen.ports("thumb")])).to.equal(before);
      await consul.restart({ keepData: true });
      await answersAgain();
      await operator.put("hosts/b.example", toWeb);
      await becomes(() => seen.keys("host"), ["a.example", "b.example"]);
      expect(seen.ports("thumb")).to.deep.equal([4001]);
      // What is really removed after an error is removed.
      await operator.delete("hosts/a.example");
      await becomes(() => seen.keys("host"), ["b.example"]);
      expect(heldKeys().filter((key) => key.startsWith("host"))).to.deep.equal([]);
    });

    it("keep everything when Consul comes back empty, until each entry returns or is released", async () => {
      await operator.register("thumb", 4001);
      await operator.register("thumb", 4002);
      await operator.put("upstreams/u", { servers: [{ host: "127.0.0.1", port: 5001 }] });
      await operator.put("hosts/a.example", { paths: { "/": "thumb" } });
      await operator.put("hosts/b.example", { paths: { "/": "u" } });
      await begin();
      await consul.restart({ keepData: false });
      await answersAgain();
      const all = [
        "catalog thumb",
        "host a.example",
        "host b.example",
        "service thumb",
        "upstream u",
      ];
      await becomes(heldKeys, all);
      expect(seen.keys("host")).to.deep.equal(["a.example", "b.example"]);
      expect(seen.ports("thumb")).to.deep.equal([4001, 4002]);

      // Other keys and other services move the indexes on; nothing held may go by that.
      await operator.put("hosts/new.example", toWeb);
      await operator.register("other", 4009);
      await becomes(() => seen.keys("host"), ["a.example", "b.example", "new.example"]);
      await until("the catalog has it", () => seen.keys("catalog").includes("other"));
      expect(heldKeys()).to.deep.equal(all);

      // One entry comes back and is then removed for good; one instance registers again.
      await operator.put("hosts/a.example", { paths: { "/": "thumb" } });
      await operator.register("thumb", 4001);
      await becomes(heldKeys, ["host b.example", "service thumb", "upstream u"]);
      expect(seen.ports("thumb")).to.deep.equal([4001, 4002]);
      await operator.delete("hosts/a.example");
      await becomes(() => seen.keys("host"), ["b.example", "new.example"]);

      expect(seen.sources.release()).to.be.at.least(2);
      expect(heldKeys()).to.deep.equal([]);
      expect(seen.keys("host")).to.deep.equal(["new.example"]);
      expect(seen.keys("upstream")).to.deep.equal([]);
    });

    it("begin from the last known good state, and hold it against an empty Consul", async () => {
      await operator.register("thumb", 4001);
      await operator.put("hosts/a.example", { paths: { "/": "thumb" } });
      await operator.put("hosts/b.example", toWeb);
      await begin();
      const previous = seen.tables();
      await seen.stop();
      await operator.delete("hosts/b.example");
      await begin({ previous });
      // Something of it is left, so that this is the same Consul: what is gone is gone.
      expect(seen.keys("host")).to.deep.equal(["a.example"]);
      await seen.stop();
      await consul.restart({ keepData: false });
      await begin({ previous });
      expect(seen.keys("host")).to.deep.equal(["a.example", "b.example"]);
      expect(seen.ports("thumb")).to.deep.equal([4001]);
      expect(heldKeys()).to.include.members(["host a.example", "host b.example", "service thumb"]);
    });

    it("hold what a wiped Consul has not shown again, over a restart of the gateway", async () => {
      const hosts = Array.from({ length: 30 }, (_, at) => `h${at}.example`);
      const ports = [4001, 4002, 4003, 4004];
      for (const host of hosts) await operator.put(`hosts/${host}`, toWeb);
      for (const port of ports) await operator.register("thumb", port);
      await begin();
      seen.sources.use("thumb");
      await becomes(() => seen.ports("thumb"), ports);
      const previous = seen.tables();
      const memory: unknown = JSON.parse(JSON.stringify(seen.sources.memory()));
      await seen.stop();
      await consul.restart({ keepData: false });
      // One of each is back when the gateway starts again.
      await operator.put("hosts/h3.example", toWeb);
      await operator.register("thumb", 4002);
      await begin({ previous, memory });
      await becomes(() => seen.ports("thumb"), ports);
      expect(seen.keys("host")).to.deep.equal(hosts.toSorted());
      expect(heldKeys()).to.have.length.above(29);
      // What it has shown it can remove.
      await operator.put("hosts/h4.example", toWeb);
      await becomes(() => heldKeys().includes("host h4.example"), false);
      await operator.delete("hosts/h4.example");
      await becomes(() => seen.keys("host").length, 29);
      // The holds hold for the next process as well.
      const tables = seen.tables();
      const again: unknown = JSON.parse(JSON.stringify(seen.sources.memory()));
      await seen.stop();
      await begin({ previous: tables, memory: again });
      expect(seen.keys("host")).to.have.length(29);
      expect(seen.ports("thumb")).to.deep.equal(ports);
    });

    it("ask again before they believe that most of a service went at once", async () => {
      for (const port of [4001, 4002, 4003]) {
        const service = { ID: `t-${port}`, Service: "thumb", Address: "127.0.0.1", Port: port };
        const node = { Node: "rack", Address: "10.0.0.1" };
        await operator.send("PUT", "/v1/catalog/register", { ...node, Service: service });
      }
      const clock = jumpingClock();
      await begin({ clock });
      seen.sources.use("thumb");
      await becomes(() => seen.ports("thumb"), [4001, 4002, 4003]);
      await operator.send("PUT", "/v1/catalog/deregister", { Node: "rack" });
      await until("it keeps them", () =>
        seen.sources.status().held.some(({ why }) => why.includes("one update took away 3 of 3")),
      );
      expect(seen.ports("thumb")).to.deep.equal([4001, 4002, 4003]);
      expect(seen.lines.filter((line) => line.includes("keeps its instances"))).to.have.length(1);
      clock.jump(11_000);
      await becomes(() => seen.ports("thumb"), []);
      await becomes(heldKeys, []);
    });

    it("say why an instance cannot serve as it is registered", async () => {
      await operator.register("thumb", 4001);
      await operator.register("thumb", 0);
      await operator.register("thumb", 4002, { Address: "[::1]" });
      await begin();
      seen.sources.use("thumb");
      await becomes(() => seen.ports("thumb"), [4001]);
      const { unusable } = seen.sources.status();
      expect(unusable.map(({ service, why }) => `${service}: ${why}`)).to.have.members([
        "thumb: its port is 0",
        "thumb: its address is [::1]: an IPv6 address has no brackets",
      ]);
    });

    it("say of a Consul that hangs from the start that it does not answer", async () => {
      consul.suspend();
      try {
        seen = observe(consul.url, { clock: fastClock(4), waitMs: 800 });
        await until("it is stale", () => seen.sources.status().stale !== null);
        expect(seen.sources.status().stale?.error).to.contain("does not answer: ");
      } finally {
        consul.resume();
      }
      await answersAgain();
    });

    it("notice a Consul that hangs, and take up again when it goes on", async () => {
      await operator.put("hosts/a.example", toWeb);
      // Its deadlines pass in a second or two.
      await begin({ clock: fastClock(4), waitMs: 800 });
      consul.suspend();
      try {
        await until("it is stale", () => seen.sources.status().stale !== null);
        expect(seen.sources.status().stale?.error).to.contain("does not answer: ");
        expect(seen.keys("host")).to.deep.equal(["a.example"]);
      } finally {
        consul.resume();
      }
      await answersAgain();
      await operator.put("hosts/b.example", toWeb);
      await becomes(() => seen.keys("host"), ["a.example", "b.example"]);
    });
  });

if (findRealConsul() !== null)
  describe("sources on real Consul with ACLs", function () {
    this.timeout(40_000);

    it("keep everything when the token is taken away, and name what it lacks", async () => {
      const token = "11111111-2222-3333-4444-555555555555";
      const acl = {
        enabled: true,
        default_policy: "deny",
        tokens: { master: token, agent: token },
      };
      const consul = await startRealConsul({ config: { acl }, token });
      const admin = new Operator(consul.url, token);
      const secret = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
      await admin.send("PUT", "/v1/acl/policy", {
        Name: "sluice",
        Rules:
          'key_prefix "sluice/" { policy = "read" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
      });
      await admin.send("PUT", "/v1/acl/token", {
        AccessorID: secret.replace(/a/g, "c"),
        SecretID: secret,
        Policies: [{ Name: "sluice" }],
      });
      await admin.put("hosts/a.example", toWeb);
      const seen = observe(consul.url, { token: secret, waitMs: 500 });
      try {
        await seen.sources.whenReady();
        expect(seen.keys("host")).to.deep.equal(["a.example"]);
        await admin.send("DELETE", `/v1/acl/token/${secret.replace(/a/g, "c")}`);
        await until("it is stale", () => seen.sources.status().stale !== null, {
          deadlineMs: 35_000,
        });
        expect(seen.sources.status().stale?.error).to.contain("answers 403");
        expect(seen.keys("host")).to.deep.equal(["a.example"]);
        expect(seen.lines.join() + JSON.stringify(seen.sources.status())).not.to.contain(secret);
      } finally {
        await seen.stop();
        await consul.stop();
      }
    });
  });
