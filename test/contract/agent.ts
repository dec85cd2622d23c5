/** The contract of `/v1/agent` but for how checks run, and of what every endpoint shares. */
import { expect } from "chai";
import { type Contract, type Parsed, unique } from "./api.ts";

interface Instance {
  readonly Node: Parsed;
  readonly Service: Parsed;
  readonly Checks: readonly Parsed[];
}

export const agentContract: Contract = (consul) => {
  const register = (body: object, query = "") =>
    consul().put(`/v1/agent/service/register${query}`, body);

  it("shows a service at the agent and in the catalog as it was registered", async () => {
    const name = unique("web");
    const id = `${name}-1`;
    await consul().write("/v1/agent/service/register", {
      ID: id,
      Name: name,
      Tags: ["v1", "blue"],
      Meta: { version: "1.2" },
      Address: "127.0.0.1",
      Port: 8080,
      Weights: { Passing: 5, Warning: 2 },
      EnableTagOverride: true,
    });
    const shared = {
      ID: id,
      Service: name,
      Tags: ["v1", "blue"],
      Meta: { version: "1.2" },
      Address: "127.0.0.1",
      Port: 8080,
      Weights: { Passing: 5, Warning: 2 },
      EnableTagOverride: true,
      TaggedAddresses: {
        lan_ipv4: { Address: "127.0.0.1", Port: 8080 },
        wan_ipv4: { Address: "127.0.0.1", Port: 8080 },
      },
    };
    // Newer versions name the datacenter as well.
    expect((await consul().read<Parsed>("/v1/agent/services"))[id]).to.deep.include(shared);
    const own = await consul().read<Parsed>(`/v1/agent/service/${id}`);
    expect(own).to.deep.include(shared);
    expect(own.ContentHash).to.match(/^[0-9a-f]{16}$/);
    const found = await consul().until<Instance[]>(
      `/v1/health/service/${name}`,
      ({ length }) => length === 1,
    );
    expect(found[0]?.Service).to.deep.include(shared);
    // In any order: Consul gives another one from time to time.
    const services = await consul().read<Parsed>("/v1/catalog/services");
    expect(services[name]).to.have.members(["v1", "blue"]);
  });

  it("fills in the ID, the weights and empty lists", async () => {
    const name = unique("plain");
    await consul().write("/v1/agent/service/register", { Name: name });
    const services = await consul().read<Parsed>("/v1/agent/services");
    expect(services[name]).to.deep.include({
      ID: name,
      Service: name,
      Tags: [],
      Meta: {},
      Port: 0,
      Address: "",
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
    });
  });

  it("takes field names in any case and with underscores, and null for absent", async () => {
    const name = unique("lenient");
    await consul().write("/v1/agent/service/register", {
      name,
      tags: null,
      PORT: 7,
      enable_tag_override: true,
      check: { ttl: "1h", deregister_critical_service_after: "5m" },
    });
    const services = await consul().read<Parsed>("/v1/agent/services");
    expect(services[name]).to.include({ Port: 7, EnableTagOverride: true });
    expect(await consul().read<Parsed>("/v1/agent/checks")).to.have.property(`service:${name}`);
  });

  it("gives checks the IDs and names that Consul gives them", async () => {
    const name = unique("web");
    await consul().write("/v1/agent/service/register", {
      Name: name,
      Checks: [{ TTL: "1h" }, { TTL: "1h", CheckID: `${name}-own`, Name: "own", Notes: "mine" }],
    });
    const checks = await consul().read<Parsed>("/v1/agent/checks");
    expect(checks[`service:${name}:1`]).to.include({
      Name: `Service '${name}' check`,
      Status: "critical",
      ServiceID: name,
      ServiceName: name,
      Type: "ttl",
    });
    expect(checks[`${name}-own`]).to.include({ Name: "own", Notes: "mine" });
  });

  it("keeps a check's status when the service is registered again, and the checks that are not named", async () => {
    const name = unique("again");
    const body = (port: number, checks: readonly object[]) => ({
      Name: name,
      Port: port,
      Checks: checks,
    });
    const [one, two] = [
      { CheckID: `${name}-1`, TTL: "1h" },
      { CheckID: `${name}-2`, TTL: "1h" },
    ];
    await register(body(1, [one, two]));
    await consul().write(`/v1/agent/check/pass/${name}-1`);
    await register(body(2, [{ ...one, Status: "warning" }]));
    const checks = await consul().read<Parsed>("/v1/agent/checks");
    expect(checks[`${name}-1`]).to.include({ Status: "passing" });
    expect(checks).to.have.property(`${name}-2`);
    await register(body(2, [two]), "?replace-existing-checks");
    const replaced = await consul().read<Parsed>("/v1/agent/checks");
    expect(replaced).not.to.have.property(`${name}-1`);
    expect(replaced).to.have.property(`${name}-2`);
  });

  it("takes a service out with its checks; one that is not there counts as out", async () => {
    const name = unique("gone");
    await consul().write("/v1/agent/service/register", { Name: name, Check: { TTL: "1h" } });
    await consul().until<unknown[]>(`/v1/health/service/${name}`, ({ length }) => length === 1);
    await consul().write(`/v1/agent/service/deregister/${name}`);
    await consul().until<unknown[]>(`/v1/catalog/service/${name}`, ({ length }) => length === 0);
    expect(await consul().read<Parsed>("/v1/agent/checks")).not.to.have.property(`service:${name}`);
    expect(await consul().read<Parsed>("/v1/catalog/services")).not.to.have.property(name);
    const unknown = await consul().get(`/v1/agent/service/${name}`);
    expect([unknown.status, unknown.text]).to.deep.equal([404, `unknown service ID: ${name}`]);
    // Newer versions say that it is not there.
    const again = await consul().put(`/v1/agent/service/deregister/${name}`);
    expect(again.status).to.be.oneOf([200, 404]);
  });

  it("takes IDs with any characters, encoded", async () => {
    const id = `${unique("host")}:web/1 ü:80`;
    await consul().write("/v1/agent/service/register", { ID: id, Name: "odd-id" });
    const encoded = encodeURIComponent(id);
    expect(await consul().read<Parsed>(`/v1/agent/service/${encoded}`)).to.include({ ID: id });
    await consul().write(`/v1/agent/service/deregister/${encoded}`);
    expect(await consul().read<Parsed>("/v1/agent/services")).not.to.have.property(id);
  });

  it("refuses what is no service, in one line", async () => {
    const refused: readonly (readonly [unknown, RegExp])[] = [
      ["", /decode failed/],
      ["{", /decode failed/],
      ["[]", /decode failed/],
      [{}, /^Missing service name$/],
      [{ Name: "x", Port: "80" }, /decode failed.*Port/],
      [{ Name: "x", Port: 1.5 }, /decode failed.*Port/],
      [{ Name: "x", Tags: "a" }, /decode failed.*Tags/],
      [{ Name: "x", Foo: 1 }, /unknown field "Foo"/],
      [{ Name: "x", Meta: { "a b": "c" } }, /Meta.*a b/],
      [{ Name: "x", Address: "0.0.0.0" }, /^Invalid service address$/],
      [{ Name: "x", Weights: { Passing: 0 } }, /Invalid Weights: Passing/],
      [{ Name: "x", Weights: { Passing: 1, Warning: -1 } }, /Invalid Weights: Warning/],
      [{ Name: "x", Check: { TTL: "abc" } }, /invalid duration "abc"/],
      [{ Name: "x", Check: { TTL: "5s", Status: "bogus" } }, /Status/],
      [{ Name: "x", Check: { HTTP: "http://127.0.0.1:1/" } }, /Interval must be > 0/],
      [{ Name: "x", Check: { TCP: "127.0.0.1:1", Interval: "1s", TTL: "1s" } }, /Interval and TTL/],
      [{ Name: "x", Check: { Notes: "nothing else" } }, /TTL must be > 0/],
    ];
    for (const [body, message] of refused) {
      const answer = await consul().put("/v1/agent/service/register", body);
      const label = JSON.stringify(body);
      expect(answer.status, `${label}: ${answer.text}`).to.equal(400);
      expect(answer.text, label).to.match(message).and.not.include("\n");
    }
    expect(await consul().read<Parsed>("/v1/agent/services")).not.to.have.property("x");
  });

  it("puts a service into maintenance and takes it out again", async () => {
    const name = unique("web");
    await consul().write("/v1/agent/service/register", { Name: name, Port: 1 });
    const passing = `/v1/health/service/${name}?passing`;
    await consul().until<unknown[]>(passing, ({ length }) => length === 1);
    const path = `/v1/agent/service/maintenance/${name}`;
    await consul().write(`${path}?enable=true&reason=upgrade`);
    await consul().until<unknown[]>(passing, ({ length }) => length === 0);
    const checks = await consul().read<Parsed>("/v1/agent/checks");
    expect(checks[`_service_maintenance:${name}`]).to.include({
      Status: "critical",
      Notes: "upgrade",
      Type: "maintenance",
    });
    await consul().write(`${path}?enable=false`);
    await consul().until<unknown[]>(passing, ({ length }) => length === 1);
    for (const [query, status] of [
      ["", 400],
      ["?enable=maybe", 400],
    ] as const) {
      expect((await consul().put(path + query)).status, query).to.equal(status);
    }
    const unknown = await consul().put("/v1/agent/service/maintenance/nobody?enable=true");
    expect(unknown.status).to.equal(404);
  });

  it("tells who it is", async () => {
    const self = await consul().read<{ Config: Parsed; Member: Parsed }>("/v1/agent/self");
    expect(self.Config).to.include({ Datacenter: "dc1", Server: true });
    const [member] = await consul().read<Parsed[]>("/v1/agent/members");
    expect(member).to.include({ Name: self.Config.NodeName, Status: 1 });
    expect(await consul().read("/v1/catalog/datacenters")).to.deep.equal(["dc1"]);
    const leader = await consul().read<string>("/v1/status/leader");
    expect(leader).to.match(/^127\.0\.0\.1:\d+$/);
    expect(await consul().read("/v1/status/peers")).to.deep.equal([leader]);
  });

  it("answers 404, 405 and redirects as Consul does", async () => {
    expect((await consul().get("/v1/no/such/thing")).status).to.equal(404);
    const wrong = await consul().get("/v1/agent/service/register");
    expect([wrong.status, wrong.text]).to.deep.equal([405, "method GET not allowed"]);
    expect(wrong.headers.get("Allow")).to.equal("OPTIONS,PUT");
    const doubled = await consul().get("/v1/kv//lead");
    expect(doubled.status).to.be.oneOf([301, 307]);
    expect(doubled.headers.get("Location")).to.equal("/v1/kv/lead");
    const elsewhere = await consul().get("/v1/kv/a?dc=elsewhere");
    expect([elsewhere.status, elsewhere.text]).to.deep.equal([500, "No path to datacenter"]);
    const pretty = await consul().get("/v1/catalog/datacenters?pretty");
    expect(pretty.text).to.equal('[\n    "dc1"\n]\n');
  });
};
