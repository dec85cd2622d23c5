import { expect } from "chai";
import { durationBounds, statusClasses } from "../model/index.ts";
import { LoopDelay } from "./loop-delay.ts";
import { type Counted, Traffic } from "./traffic.ts";

const request = (more: Partial<Counted> = {}): Counted => ({
  status: 200,
  errorCode: "",
  durationMs: 3,
  tries: 1,
  bytesIn: 0,
  bytesOut: 0,
  ...more,
});

describe("a worker's counts", () => {
  it("are taken as increments, by host and upstream, and only where something happened", () => {
    const traffic = new Traffic();
    traffic.record(request({ bytesIn: 5, bytesOut: 7 }), "a", "one");
    traffic.record(request({ status: 502, errorCode: "connect_failed", tries: 2 }), "a", "one");
    traffic.record(request(), "b", "one");
    const first = traffic.take();
    expect(first.routes.map(({ host, upstream }) => `${host} ${upstream}`)).to.deep.equal([
      "a one",
      "b one",
    ]);
    expect(first.routes[0]).to.include({ tries: 3, bytesIn: 5, bytesOut: 7, seconds: 0.006 });
    expect(first.failures).to.deep.equal({ connect_failed: 1 });
    traffic.record(request(), "b", "one");
    const second = traffic.take();
    expect(second.routes.map(({ host }) => host)).to.deep.equal(["b"]);
    expect(second.routes[0]?.tries).to.equal(1);
    expect(second.failures).to.deep.equal({});
    expect(traffic.take().routes).to.deep.equal([]);
  });

  it("put each status in its class, and one that no answer had in none", () => {
    const traffic = new Traffic();
    for (const status of [0, 101, 200, 204, 301, 404, 599, 999])
      traffic.record(request({ status }), "a", "one");
    const [route] = traffic.take().routes;
    const counts = statusClasses.map((name, at) => `${name} ${route?.classes[at]}`);
    expect(counts).to.deep.equal(["none 1", "1xx 1", "2xx 2", "3xx 1", "4xx 1", "5xx 2"]);
  });

  it("put each duration in the first bucket whose bound it does not exceed", () => {
    const traffic = new Traffic();
    const durations = [0, ...durationBounds.map((bound) => bound * 1_000), 1e6];
    for (const durationMs of durations) traffic.record(request({ durationMs }), "a", "one");
    const [route] = traffic.take().routes;
    expect(route?.durations).to.deep.equal([2, ...durationBounds.slice(1).map(() => 1), 1]);
  });

  it("keep no more than 1000 pairs apart, and lose none of the requests of the others", () => {
    const traffic = new Traffic();
    const times = 2_500;
    for (let at = 0; at < times; at += 1) traffic.record(request(), `host-${at}`, "one");
    const { routes } = traffic.take();
    expect(routes).to.have.length(1_001);
    expect(routes.reduce((sum, route) => sum + route.tries, 0)).to.equal(times);
    expect(routes.find(({ host }) => host === "other")?.tries).to.equal(times - 1_000);
    // The next second has room for others.
    traffic.record(request(), "host-2400", "one");
    expect(traffic.take().routes[0]?.host).to.equal("host-2400");
  });

  it("have the failures of peers by upstream and code, for so many upstreams", () => {
    const traffic = new Traffic();
    traffic.peerFailed("one", "reset");
    traffic.peerFailed("one", "reset");
    traffic.peerFailed("one", "connect_failed");
    expect(traffic.take().peerFailures).to.deep.equal([
      { upstream: "one", code: "reset", count: 2 },
      { upstream: "one", code: "connect_failed", count: 1 },
    ]);
    for (let at = 0; at < 1_200; at += 1) traffic.peerFailed(`up-${at}`, "reset");
    const { peerFailures } = traffic.take();
    expect(peerFailures).to.have.length(1_001);
    expect(peerFailures.find(({ upstream }) => upstream === "other")?.count).to.equal(200);
  });
});

describe("the delay of an event loop", () => {
  it("is counted in buckets, and taken as increments", () => {
    const delay = new LoopDelay(() => 0);
    for (const lateMs of [-1, 0.5, 3, 7_000]) delay.sample(lateMs);
    const { buckets, seconds } = delay.take();
    expect(buckets).to.deep.equal([2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(seconds).to.be.closeTo(7.0035, 1e-9);
    expect(delay.take().seconds).to.equal(0);
  });
});
