import { expect } from "chai";
import { documentKinds } from "../gateway/model/index.ts";
import { until } from "../test/support/conditions.ts";
import { fastClock, jumpingClock } from "./fixtures/clocks.ts";
import { becomes } from "./fixtures/observed.ts";
import { describeSources } from "./fixtures/sources-scene.ts";

/** The catalog's, and one for each folder of keys. */
const baseWatches = 1 + documentKinds.length;

describeSources((scene) => {
  const inUse = () => {
    const { servicesInUse, polled } = scene.seen.sources.status();
    return { servicesInUse, polled };
  };

  it("watch a service from the first request for it, with its health", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.begin();
    expect(scene.seen.keys("service")).to.deep.equal([]);
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001]);
    await scene.operator.register("thumb", 4002, { Check: { TTL: "1h", Status: "critical" } });
    await scene.operator.register("thumb", 4003, {
      Check: { TTL: "1h", Status: "warning" },
      Weights: { Passing: 10, Warning: 2 },
    });
    await becomes(() => scene.seen.ports("thumb"), [4001, 4003]);
    expect(scene.seen.value("service", "thumb")).to.have.nested.property("[1].weight", 2);
    await scene.operator.send("PUT", "/v1/agent/check/pass/service:thumb-4002");
    await becomes(() => scene.seen.ports("thumb"), [4001, 4002, 4003]);
    await scene.operator.deregister("thumb", 4001);
    await becomes(() => scene.seen.ports("thumb"), [4002, 4003]);
  });

  it("answer at once for a service that does not exist, and watch nothing", async () => {
    // A service that does not exist is forgotten after ten seconds, which must not pass here.
    await scene.begin({ clock: fastClock(0.01) });
    scene.seen.sources.use("nobody");
    scene.seen.sources.use("thumb@nowhere");
    scene.seen.sources.use("../../kv/secret");
    await becomes(() => scene.seen.value("service", "nobody"), []);
    await becomes(() => scene.seen.value("service", "thumb@nowhere"), []);
    expect(scene.seen.sources.status().servicesInUse).to.equal(0);
    // It comes to be while whoever asked may still be interested.
    await scene.operator.register("nobody", 4009);
    await becomes(() => scene.seen.ports("nobody"), [4009]);
  });

  it("know the own datacenter, and its services by names with and without it", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.operator.put("upstreams/t", { service: "thumb.service.dc1.consul" });
    await scene.begin();
    expect(scene.seen.value("datacenter", "dc1")).to.deep.equal({ own: true, catalog: true });
    expect(scene.seen.ports("thumb")).to.deep.equal([4001]);
    scene.seen.sources.use("thumb@dc1");
    scene.seen.sources.use("@dc1");
    scene.seen.sources.use("@nowhere");
    await becomes(() => scene.seen.value("service", "thumb@dc1"), []);
    expect(scene.seen.sources.status()).to.include({ servicesInUse: 1, polled: 0 });
    expect(scene.seen.sources.status().watches).to.have.length(baseWatches + 1);
  });

  it("know a service by its name in any case, as Consul's DNS does", async () => {
    await scene.operator.register("Thumb", 4001, { Tags: ["b"] });
    await scene.operator.register("THUMB", 4002, { Tags: ["a", "b"] });
    await scene.operator.register("other", 4003);
    await scene.operator.put("upstreams/t", { service: "other" });
    await scene.begin({ maxServiceWatches: 1 });
    expect(scene.seen.value("catalog", "thumb")).to.deep.equal(["a", "b"]);
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001, 4002]);
    // By what its node tells, which has the names as they were registered.
    expect(scene.watchedServices()).to.deep.equal(["service other"]);
    await scene.operator.register("Thumb", 4004);
    await becomes(() => scene.seen.ports("thumb"), [4001, 4002, 4004]);
    await scene.operator.deregister("THUMB", 4002);
    await becomes(() => scene.seen.ports("thumb"), [4001, 4004]);
    await scene.operator.deregister("Thumb", 4004);
    await becomes(() => scene.seen.ports("thumb"), [4001]);
  });

  it("say why an instance cannot serve as it is registered", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.operator.register("thumb", 0);
    await scene.operator.register("thumb", 4002, { Address: "[::1]" });
    await scene.begin();
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001]);
    const unusable = () =>
      scene.seen.sources.status().unusable.map(({ service, why }) => `${service}: ${why}`);
    await becomes(
      () => unusable().sort(),
      ["thumb: its address is [::1]: an IPv6 address has no brackets", "thumb: its port is 0"],
    );
  });

  it("say that a community edition has no namespaces, and go on without them", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.begin({ scope: { partition: "west" } });
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001]);
    const warnings = [...scene.seen.sources.warnings()];
    expect(warnings.map(({ key }) => key)).to.deep.equal(["--consul-partition"]);
    expect(warnings[0]?.warning).to.match(
      /^has no effect: Consul at \S+ is not Consul Enterprise$/,
    );
  });

  it("forget a service that nobody has asked for in an hour, and no other", async () => {
    const clock = jumpingClock();
    for (const [name, port] of [
      ["idle", 4001],
      ["busy", 4002],
      ["named", 4003],
      ["tagged", 4004],
    ] as const)
      await scene.operator.register(name, port, {
        Tags: name === "tagged" ? ["urlprefix-tagged.example/"] : [],
      });
    await scene.operator.put("upstreams/t", { service: "named.service.consul" });
    await scene.begin({ clock });
    for (const name of ["idle", "busy"]) scene.seen.sources.use(name);
    const used = () => scene.seen.keys("service");
    await becomes(used, ["busy", "idle", "named", "tagged"]);
    await becomes(() => scene.seen.ports("idle"), [4001]);
    clock.jump(40 * 60_000);
    scene.seen.sources.sawRequests(["v1.busy", "t"]);
    clock.jump(40 * 60_000);
    await becomes(used, ["busy", "named", "tagged"]);
    // Whose requests are not known may be everybody's.
    scene.seen.sources.sawRequests([null]);
    clock.jump(40 * 60_000);
    await becomes(() => scene.seen.sources.status().servicesInUse, 3);
    clock.jump(40 * 60_000);
    await becomes(used, ["named", "tagged"]);
    scene.seen.sources.use("idle");
    await becomes(() => scene.seen.ports("idle"), [4001]);
  });

  it("forget no service whose instances are held", async () => {
    const clock = jumpingClock();
    await scene.operator.register("thumb", 4001);
    await scene.begin({ clock });
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001]);
    await scene.consul.restart({ keepData: false });
    await until("its instances are held", () =>
      scene.seen.sources
        .status()
        .held.some(({ kind, key }) => kind === "service" && key === "thumb"),
    );
    await scene.operator.register("witness", 4002);
    scene.seen.sources.use("witness");
    await becomes(() => scene.seen.ports("witness"), [4002]);
    clock.jump(2 * 3_600_000);
    await becomes(() => scene.seen.keys("service"), ["thumb"]);
    expect(scene.seen.ports("thumb")).to.deep.equal([4001]);
  });

  it("drop a service that no document names any more", async () => {
    await scene.operator.register("thumb", 4001);
    await scene.operator.put("upstreams/t", { service: "thumb.service.consul" });
    await scene.begin();
    expect(scene.seen.ports("thumb")).to.deep.equal([4001]);
    await scene.operator.delete("upstreams/t");
    await becomes(() => scene.seen.value("service", "thumb") ?? null, null);
    await becomes(inUse, { servicesInUse: 0, polled: 0 });
  });

  it("follow services beyond the watches by what their nodes tell, and give one a watch that is free", async () => {
    const names = ["a", "b", "c", "d"];
    for (const [at, name] of names.entries()) await scene.operator.register(name, 4001 + at);
    await scene.operator.put("upstreams/t", { service: "a" });
    await scene.begin({ maxServiceWatches: 1 });
    for (const name of names.slice(1)) scene.seen.sources.use(name);
    await becomes(() => names.map((name) => scene.seen.ports(name)[0]), [4001, 4002, 4003, 4004]);
    await becomes(inUse, { servicesInUse: 4, polled: 3 });
    await scene.operator.register("c", 5003);
    await becomes(() => scene.seen.ports("c"), [4003, 5003]);
    expect(scene.watchedServices()).to.deep.equal(["service a"]);
    await scene.operator.delete("upstreams/t");
    await becomes(inUse, { servicesInUse: 3, polled: 2 });
    await becomes(scene.watchedServices, ["service d"]);
    await scene.operator.deregister("c", 4003);
    await becomes(() => scene.seen.ports("c"), [5003]);
    await scene.operator.deregister("c", 5003);
    await becomes(() => scene.seen.ports("c"), []);
  });

  it("give the watch of a service that left the catalog to others, until it is back", async () => {
    await scene.operator.register("gone", 4001);
    await scene.operator.register("next", 4002);
    await scene.begin({ maxServiceWatches: 1 });
    scene.seen.sources.use("gone");
    scene.seen.sources.use("next");
    await becomes(() => scene.seen.ports("next"), [4002]);
    await becomes(scene.watchedServices, ["service gone"]);
    await scene.operator.deregister("gone", 4001);
    await becomes(scene.watchedServices, ["service next"]);
    await becomes(() => scene.seen.value("service", "gone"), []);
    await becomes(inUse, { servicesInUse: 2, polled: 0 });
    await scene.operator.register("gone", 4003);
    await becomes(() => scene.seen.ports("gone"), [4003]);
    await becomes(inUse, { servicesInUse: 2, polled: 1 });
    await scene.operator.deregister("gone", 4003);
    await becomes(() => scene.seen.ports("gone"), []);
    await becomes(() => scene.seen.sources.status().polled, 0);
    await scene.operator.deregister("next", 4002);
    await becomes(scene.watchedServices, []);
    await scene.operator.register("next", 4004);
    await becomes(() => scene.seen.ports("next"), [4004]);
    await becomes(scene.watchedServices, ["service next"]);
  });

  it("drop a service some minutes after it left the catalog, and what never was in it", async () => {
    await scene.operator.register("thumb", 4001);
    const clock = jumpingClock();
    await scene.begin({ clock });
    scene.seen.sources.use("nobody");
    await becomes(() => scene.seen.value("service", "nobody"), []);
    clock.jump(10_000);
    await becomes(() => scene.seen.value("service", "nobody") ?? null, null);
    scene.seen.sources.use("thumb");
    await becomes(() => scene.seen.ports("thumb"), [4001]);
    await scene.operator.deregister("thumb", 4001);
    await becomes(() => scene.seen.value("service", "thumb"), []);
    // Once its absence was noticed.
    await until("nothing asks for it any more", () => scene.watchedServices().length === 0);
    clock.jump(5_000);
    expect(scene.seen.sources.status().servicesInUse).to.equal(1);
    await until("it is dropped", () => {
      clock.jump(60_000);
      return (scene.seen.value("service", "thumb") ?? null) === null;
    });
    expect(scene.seen.sources.status().servicesInUse).to.equal(0);
  });

  it("have 100 watches for 130 services and their node, within Consul's limit for an address", async () => {
    const names = Array.from({ length: 130 }, (_, at) => `s${at}`);
    for (const [at, name] of names.entries()) await scene.operator.register(name, 4001 + at);
    await scene.begin();
    for (const name of names) scene.seen.sources.use(name);
    await until("all have instances", () =>
      names.every((name, at) => scene.seen.ports(name)[0] === 4001 + at),
    );
    // Nodes, the checks that are critical and that warn, and the one node.
    await becomes(inUse, { servicesInUse: 130, polled: 34 });
    await becomes(() => scene.seen.sources.status().watches.length, baseWatches + 100);
    // Each of them is answered.
    await scene.answersAgain();
  });
});
