import { expect } from "chai";
import {
  parseHostDocument,
  parseListenerDocument,
  parseUpstreamDocument,
} from "../documents/index.ts";
import { emptyTables, type Json, type Source } from "../model/index.ts";
import { source } from "../sandbox/fixtures/test-sandbox.ts";
import { findWithoutEffect } from "./without-effect.ts";

const server = (host: string, more: object = {}) => ({ host, port: 80, ...more });

interface Given {
  readonly upstreams?: Readonly<Record<string, object>>;
  readonly hosts?: Readonly<Record<string, object>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly modules?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, Json>>;
}

function found(given: Given, more: (tables: ReturnType<typeof emptyTables>) => void = () => {}) {
  const tables = emptyTables();
  tables.datacenter.set("dc1", { own: true, catalog: true });
  tables.catalog.set("shop", ["v1"]);
  for (const [name, text] of Object.entries(given.upstreams ?? {}))
    tables.upstream.set(name, parseUpstreamDocument(name, JSON.stringify(text)));
  for (const [name, text] of Object.entries(given.hosts ?? {}))
    tables.host.set(name, parseHostDocument(name, JSON.stringify(text)));
  for (const [name, text] of Object.entries(given.scripts ?? {}))
    tables.script.set(name, source(text));
  for (const [name, text] of Object.entries(given.modules ?? {}))
    tables.module.set(name, source(text));
  for (const [name, value] of Object.entries(given.settings ?? {})) tables.setting.set(name, value);
  more(tables);
  return [...findWithoutEffect(tables, "p/")].map(({ key, warning }) => `${key}: ${warning}`);
}

describe("what is accepted without effect", () => {
  it("is an upstream whose servers are all down, and not one that has another", () => {
    const down = { down: true };
    const upstreams = {
      dead: { servers: [server("10.0.0.1", down), server("10.0.0.2", down)] },
      spare: {
        cluster: [{ servers: [server("10.0.0.1", down)] }, { servers: [server("10.0.0.2")] }],
      },
    };
    expect(found({ upstreams })).to.deep.equal([
      "p/upstreams/dead: down: every server is down, so requests are answered 503",
    ]);
  });

  it("is a server that an earlier level has", () => {
    const cluster = [
      { servers: [server("10.0.0.1"), server("10.0.0.1")] },
      { servers: [server("10.0.0.1"), server("10.0.0.2")] },
    ];
    expect(found({ upstreams: { u: { cluster } } })).to.deep.equal([
      "p/upstreams/u: cluster[1]: 10.0.0.1:80 is in an earlier level, and left out here",
    ]);
  });

  it("is an upstream document for a service whose site another one covers, or that has a tag", () => {
    const document = { servers: [server("10.0.0.1")] };
    const upstreams = {
      "shop.service.dc1.consul": document,
      "shop.service.consul": document,
      "v1.shop.service.consul": document,
    };
    const tagged =
      "p/upstreams/v1.shop.service.consul: hosts with a tag of shop are its site: this document is used only where it is named";
    expect(found({ upstreams })).to.deep.equal([
      "p/upstreams/shop.service.dc1.consul: upstreams/shop.service.consul holds for the site shop: this one is used only where it is named",
      tagged,
    ]);
    expect(found({ upstreams: { ...upstreams, shop: document } })).to.deep.equal([
      "p/upstreams/shop.service.dc1.consul: upstreams/shop holds for the site shop: this one is used only where it is named",
      "p/upstreams/shop.service.consul: upstreams/shop holds for the site shop: this one is used only where it is named",
      tagged,
    ]);
  });

  it("is a service of a datacenter that Consul does not know", () => {
    const service = "shop.service.dc9.consul";
    expect(
      found({ upstreams: { far: { service } }, hosts: { a: { paths: { "/": service } } } }),
    ).to.deep.equal([
      "p/upstreams/far: service: Consul knows no datacenter dc9",
      `p/hosts/a: paths["/"]: there is no upstream document "${service}", and Consul knows no datacenter dc9`,
    ]);
  });

  it("is a listener that leads to nothing", () => {
    const listener = (upstream: string) =>
      JSON.stringify({ address: ":5432", protocol: "tcp", upstream });
    const upstreams = { api: { servers: [server("10.0.0.1")] } };
    const listeners = (tables: ReturnType<typeof emptyTables>) => {
      for (const name of ["api", "shop", "nobody"])
        tables.listener.set(name, parseListenerDocument(name, listener(name)));
    };
    expect(found({ upstreams }, listeners)).to.deep.equal([
      'p/listeners/nobody: upstream: there is no upstream document "nobody", and the catalog has no service nobody',
    ]);
  });

  it("is a module that nothing imports", () => {
    const scripts = { a: `import { one } from "modules/one"; export default () => one;` };
    const modules = { one: `import "modules/two";`, two: "", three: `import "modules/two";` };
    expect(found({ scripts, modules })).to.deep.equal([
      "p/modules/three: no script imports this module",
    ]);
  });

  it("is a setting that no text reads, where texts read settings by their names", () => {
    const settings = { limits: 1, "a.b": 1, other: 1 };
    const scripts = { a: `export default () => settings.limits + settings?.["a.b"];` };
    expect(found({ scripts, settings })).to.deep.equal([
      "p/settings/other: no script reads this setting",
    ]);
    for (const text of ["settings[name]", "const { other } = settings", "f(settings)"])
      expect(found({ scripts: { ...scripts, b: text }, settings }), text).to.deep.equal([]);
    expect(found({ settings }), "nothing runs yet").to.deep.equal([]);
    const closed = (value: Source) => (tables: ReturnType<typeof emptyTables>) =>
      void tables.closed.set("b", { script: value, trial: null });
    expect(found({ scripts, settings }, closed(source("settings.other")))).to.deep.equal([]);
  });
});
