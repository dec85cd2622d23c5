import { expect } from "chai";
import { parseUpstreamDocument } from "../documents/index.ts";
import type { Instance, Observed } from "../model/index.ts";
import { PeerGuard } from "./peer-guard.ts";

const own = {
  find: (host: string, port: number) =>
    port === 1995 && host === "127.0.0.1" ? "the admin API" : null,
};
const instance = (port: number): Instance => ({
  id: `i${port}`,
  address: "127.0.0.1",
  port,
  weight: 1,
  tags: [],
});
const service = (key: string, ...value: readonly Instance[]): Observed => ({
  kind: "service",
  key,
  value,
});
const upstream = (key: string, ...ports: readonly number[]): Observed => ({
  kind: "upstream",
  key,
  value: parseUpstreamDocument(
    key,
    JSON.stringify({ servers: ports.map((port) => ({ host: "127.0.0.1", port })) }),
  ),
});

describe("the guard against peers that are none", () => {
  it("leaves them out of services and documents, and warns by key until they are gone", () => {
    const guard = new PeerGuard(own, "sluice/");
    const texts = () => guard.warnings().map(({ key, warning }) => `${key}: ${warning}`);
    const good = [service("web", instance(80)), upstream("api", 81)];
    expect(guard.pass(good)).to.deep.equal(good);
    expect(texts()).to.deep.equal([]);
    const bad = [service("web", instance(1995), instance(80)), upstream("api", 81, 1995)];
    expect(guard.pass(bad)).to.deep.equal(good);
    expect(texts()).to.deep.equal([
      "service web: instance i1995 at 127.0.0.1:1995: is left out, since the admin API is there",
      "sluice/upstreams/api: server 127.0.0.1:1995: is left out, since the admin API is there",
    ]);
    const gone = { kind: "service", key: "web", value: null } as const;
    expect(guard.pass([gone, ...good.slice(1)])).to.deep.equal([gone, ...good.slice(1)]);
    expect(texts()).to.deep.equal([]);
  });
});
