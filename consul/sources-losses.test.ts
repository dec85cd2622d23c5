import { expect } from "chai";
import { until } from "../test/support/conditions.ts";
import { findRealConsul, startRealConsul } from "../test/support/consul.ts";
import { eventually } from "../test/support/registered.ts";
import { fastClock, jumpingClock } from "./fixtures/clocks.ts";
import { becomes, Operator, observe } from "./fixtures/observed.ts";
import { describeSources, toWeb } from "./fixtures/sources-scene.ts";

describeSources((scene) => {
  it("keep the watch of a service that is held", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.begin();
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001]);
    await scene.consul.restart({ keepData: false });
    await scene.answersAgain();
    await becomes(scene.heldKeys, ["catalog thumb", "service thumb"]);
    expect(scene.watchedServices()).to.deep.equal(["service thumb"]);
    scene.seen.sources.release();
    await becomes(scene.watchedServices, []);
    await becomes(() => scene.seen.value("service", "thumb"), []);
  });

  it("keep everything while Consul is away, say so, and go on when it is back", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.operator.put("hosts/a.example", { paths: { "/": "thumb" } });
    await scene.begin();
    const before = JSON.stringify([scene.seen.keys("host"), scene.seen.ports("thumb")]);
    await scene.consul.kill();
    await until("it is stale", () => scene.seen.sources.status().stale !== null);
    expect(scene.seen.sources.status().stale?.error).to.contain(scene.consul.url);
    expect(JSON.stringify([scene.seen.keys("host"), scene.seen.ports("thumb")])).to.equal(before);
    await scene.consul.restart({ keepData: true });
    await scene.answersAgain();
    await scene.operator.put("hosts/b.example", toWeb);
    await becomes(() => scene.seen.keys("host"), ["a.example", "b.example"]);
    expect(scene.seen.ports("thumb")).to.deep.equal([4001]);
    // What is really removed after an error is removed.
    await scene.operator.delete("hosts/a.example");
    await becomes(() => scene.seen.keys("host"), ["b.example"]);
    expect(scene.heldKeys().filter((key) => key.startsWith("host"))).to.deep.equal([]);
  });

  it("keep everything when Consul comes back empty, until each entry returns or is released", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.operator.register("thumb", 4002);
    await scene.operator.put("upstreams/u", { servers: [{ host: "127.0.0.1", port: 5001 }] });
    await scene.operator.put("hosts/a.example", { paths: { "/": "thumb" } });
    await scene.operator.put("hosts/b.example", { paths: { "/": "u" } });
    await scene.begin();
    await scene.consul.restart({ keepData: false });
    await scene.answersAgain();
    const all = [
      "catalog thumb",
      "host a.example",
      "host b.example",
      "service thumb",
      "upstream u",
    ];
    await becomes(scene.heldKeys, all);
    expect(scene.seen.keys("host")).to.deep.equal(["a.example", "b.example"]);
    expect(scene.seen.ports("thumb")).to.deep.equal([4001, 4002]);

    // Other keys and other services move the indexes on; nothing held may go by that.
    await scene.operator.put("hosts/new.example", toWeb);
    await scene.operator.register("other", 4009);
    await becomes(() => scene.seen.keys("host"), ["a.example", "b.example", "new.example"]);
    await until("the catalog has it", () => scene.seen.keys("catalog").includes("other"));
    expect(scene.heldKeys()).to.deep.equal(all);

    // One entry comes back and is then removed for good; one instance registers again.
    await scene.operator.put("hosts/a.example", { paths: { "/": "thumb" } });
    await scene.operator.register("thumb", 4001);
    await becomes(scene.heldKeys, ["host b.example", "service thumb", "upstream u"]);
    expect(scene.seen.ports("thumb")).to.deep.equal([4001, 4002]);
    await scene.operator.delete("hosts/a.example");
    await becomes(() => scene.seen.keys("host"), ["b.example", "new.example"]);

    expect(scene.seen.sources.release()).to.be.at.least(2);
    expect(scene.heldKeys()).to.deep.equal([]);
    expect(scene.seen.keys("host")).to.deep.equal(["new.example"]);
    expect(scene.seen.keys("upstream")).to.deep.equal([]);
  });

  it("begin from the last known good state, and hold it against an empty Consul", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.operator.put("hosts/a.example", { paths: { "/": "thumb" } });
    await scene.operator.put("hosts/b.example", toWeb);
    await scene.begin();
    const previous = scene.seen.tables();
    await scene.seen.stop();
    await scene.operator.delete("hosts/b.example");
    await scene.begin({ previous });
    // Something of it is left, so that this is the same Consul: what is gone is gone.
    expect(scene.seen.keys("host")).to.deep.equal(["a.example"]);
    await scene.seen.stop();
    await scene.consul.restart({ keepData: false });
    await scene.begin({ previous });
    expect(scene.seen.keys("host")).to.deep.equal(["a.example", "b.example"]);
    expect(scene.seen.ports("thumb")).to.deep.equal([4001]);
    await until("all are held", () => {
      const held = scene.heldKeys();
      return ["host a.example", "host b.example", "service thumb"].every((key) =>
        held.includes(key),
      );
    });
  });

  it("hold what a wiped Consul has not shown again, over a restart of the gateway", async () => {
    const hosts = Array.from({ length: 30 }, (_, at) => `h${at}.example`);
    const ports = [4001, 4002, 4003, 4004];
    for (const host of hosts) await scene.operator.put(`hosts/${host}`, toWeb);
    for (const port of ports) await scene.operator.register("thumb", port);
    await scene.begin();
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), ports);
    const previous = scene.seen.tables();
    const memory: unknown = JSON.parse(JSON.stringify(scene.seen.sources.memory()));
    await scene.seen.stop();
    await scene.consul.restart({ keepData: false });
    // One of each is back when the gateway starts again.
    await scene.operator.put("hosts/h3.example", toWeb);
    await scene.operator.register("thumb", 4002);
    await scene.begin({ previous, memory });
    await becomes(() => scene.seen.ports("thumb"), ports);
    expect(scene.seen.keys("host")).to.deep.equal(hosts.toSorted());
    // The hosts that are not back, and the service.
    await becomes(() => scene.heldKeys().length, 30);
    // What it has shown it can remove.
    await scene.operator.put("hosts/h4.example", toWeb);
    await becomes(() => scene.heldKeys().includes("host h4.example"), false);
    await scene.operator.delete("hosts/h4.example");
    await becomes(() => scene.seen.keys("host").length, 29);
    // The holds hold for the next process as well.
    const tables = scene.seen.tables();
    const again: unknown = JSON.parse(JSON.stringify(scene.seen.sources.memory()));
    await scene.seen.stop();
    await scene.begin({ previous: tables, memory: again });
    expect(scene.seen.keys("host")).to.have.length(29);
    expect(scene.seen.ports("thumb")).to.deep.equal(ports);
  });

  it("ask again before they believe that most of a service went at once", async () => {
    for (const port of [4001, 4002, 4003]) {
      const service = { ID: `t-${port}`, Service: "thumb", Address: "127.0.0.1", Port: port };
      const node = { Node: "rack", Address: "10.0.0.1" };
      await scene.operator.send("PUT", "/v1/catalog/register", { ...node, Service: service });
    }
    const clock = jumpingClock();
    await scene.begin({ clock });
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001, 4002, 4003]);
    await scene.operator.send("PUT", "/v1/catalog/deregister", { Node: "rack" });
    await until("it keeps them", () =>
      scene.seen.sources
        .status()
        .held.some(({ why }) => why.includes("one update took away 3 of 3")),
    );
    expect(scene.seen.ports("thumb")).to.deep.equal([4001, 4002, 4003]);
    expect(scene.seen.lines.filter((line) => line.includes("keeps its instances"))).to.have.length(
      1,
    );
    clock.jump(11_000);
    await becomes(() => scene.seen.ports("thumb"), []);
    await becomes(scene.heldKeys, []);
  });

  it("say of a Consul that hangs from the start that it does not answer", async () => {
    scene.consul.suspend();
    try {
      scene.observe({ clock: fastClock(4), waitMs: 800 });
      await until("it is stale", () => scene.seen.sources.status().stale !== null);
      expect(scene.seen.sources.status().stale?.error).to.contain("does not answer: ");
    } finally {
      scene.consul.resume();
    }
    await scene.answersAgain();
  });

  it("notice a Consul that hangs, and take up again when it goes on", async () => {
    await scene.operator.put("hosts/a.example", toWeb);
    // Its deadlines pass in a second or two.
    await scene.begin({ clock: fastClock(4), waitMs: 800 });
    scene.consul.suspend();
    try {
      await until("it is stale", () => scene.seen.sources.status().stale !== null);
      expect(scene.seen.sources.status().stale?.error).to.contain("does not answer: ");
      expect(scene.seen.keys("host")).to.deep.equal(["a.example"]);
    } finally {
      scene.consul.resume();
    }
    await scene.answersAgain();
    await scene.operator.put("hosts/b.example", toWeb);
    await becomes(() => scene.seen.keys("host"), ["a.example", "b.example"]);
  });
});

if (findRealConsul() !== null)
  describe("sources on real Consul with ACLs", function () {
    this.timeout(300_000);

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
      // For its first moments Consul has no policies yet.
      await eventually("Consul has the policy", () =>
        admin.send("PUT", "/v1/acl/policy", {
          Name: "sluice",
          Rules:
            'key_prefix "sluice/" { policy = "read" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
        }),
      );
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
        // Consul remembers a token for half a minute.
        await until("it is stale", () => seen.sources.status().stale !== null, {
          deadlineMs: 120_000,
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
