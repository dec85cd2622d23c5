/** The contract of `/v1/catalog` and `/v1/health`. */
import { expect } from "chai";
import { type Contract, type Parsed, unique } from "./api.ts";

interface Instance {
  readonly Node: Parsed;
  readonly Service: Parsed;
  readonly Checks: readonly Parsed[];
}

export const catalogContract: Contract = (consul) => {
  /** An outside node with a service, put straight into the catalog. */
  async function external(more: object = {}) {
    const name = unique("ext");
    const node = `node-of-${name}`;
    const body = {
      Node: node,
      Address: "10.0.0.1",
      Service: { ID: `${name}-1`, Service: name, Port: 99, Tags: ["t"] },
      Check: { CheckID: `check-${name}`, Name: "c", ServiceID: `${name}-1`, Status: "passing" },
      ...more,
    };
    const answer = await consul().put("/v1/catalog/register", body);
    expect([answer.status, answer.text]).to.deep.equal([200, "true"]);
    return { name, node };
  }

  it("shows an outside service in every view of the catalog", async () => {
    const { name, node } = await external();
    const [found] = await consul().read<Parsed[]>(`/v1/catalog/service/${name}`);
    expect(found).to.deep.include({
      Node: node,
      Address: "10.0.0.1",
      Datacenter: "dc1",
      ServiceID: `${name}-1`,
      ServiceName: name,
      ServiceAddress: "",
      ServicePort: 99,
      ServiceTags: ["t"],
      ServiceMeta: {},
      ServiceWeights: { Passing: 1, Warning: 1 },
    });
    const [instance] = await consul().read<Instance[]>(`/v1/health/service/${name}`);
    expect(instance?.Node).to.include({ Node: node, Address: "10.0.0.1", Datacenter: "dc1" });
    expect(instance?.Service).to.include({ ID: `${name}-1`, Service: name, Port: 99 });
    expect(instance?.Checks).to.have.length(1);
    expect(instance?.Checks[0]).to.deep.include({
      Node: node,
      CheckID: `check-${name}`,
      Status: "passing",
      ServiceName: name,
      ServiceTags: ["t"],
    });
    const onNode = await consul().read<{ Node: Parsed; Services: Parsed }>(
      `/v1/catalog/node/${node}`,
    );
    expect(onNode.Node).to.include({ Node: node });
    expect(Object.keys(onNode.Services)).to.deep.equal([`${name}-1`]);
    const nodes = await consul().read<Parsed[]>("/v1/catalog/nodes");
    expect(nodes.map(({ Node }) => Node)).to.include(node);
    expect(await consul().read<Parsed[]>(`/v1/health/node/${node}`)).to.have.length(1);
    expect(await consul().read<Parsed[]>(`/v1/health/checks/${name}`)).to.have.length(1);
  });

  it("takes out a check, a service and a node one after the other", async () => {
    const { name, node } = await external();
    const out = (body: object) => consul().write("/v1/catalog/deregister", { Node: node, ...body });
    await out({ CheckID: `check-${name}` });
    expect(await consul().read(`/v1/health/node/${node}`)).to.deep.equal([]);
    await out({ ServiceID: `${name}-1` });
    expect(await consul().read(`/v1/catalog/service/${name}`)).to.deep.equal([]);
    expect(await consul().read(`/v1/catalog/node/${node}`)).not.to.equal(null);
    await out({});
    expect(await consul().read(`/v1/catalog/node/${node}`)).to.equal(null);
    await out({});
  });

  it("has nothing, not an error, for names that it does not know", async () => {
    for (const path of ["catalog/service", "health/service", "health/checks", "health/node"]) {
      expect(await consul().read(`/v1/${path}/${unique("nobody")}`), path).to.deep.equal([]);
    }
    expect(await consul().read("/v1/health/state/bogus")).to.deep.equal([]);
    expect(await consul().read(`/v1/catalog/node/${unique("nobody")}`)).to.equal(null);
  });

  it("refuses what is no registration", async () => {
    const expectations = [
      ["register", {}, 500, /^Must provide node$/],
      ["register", { Node: "n" }, 500, /^Must provide address if SkipNodeUpdate is not set$/],
      [
        "register",
        { Node: "n", Address: "1", Check: { CheckID: "c", ServiceID: "nobody" } },
        500,
        /Missing service registration on node "n"$|^Unknown service ID 'nobody'/,
      ],
      ["deregister", {}, 500, /^Must provide node$/],
      ["register", { Node: "n", Address: "1", Datacenter: "dc9" }, 500, /^No path to datacenter$/],
    ] as const;
    for (const [verb, body, status, text] of expectations) {
      const answer = await consul().put(`/v1/catalog/${verb}`, body);
      expect(answer.status).to.equal(status);
      expect(answer.text).to.match(text);
    }
    expect((await consul().put("/v1/catalog/register", "{")).status).to.equal(400);
    expect(await consul().read("/v1/catalog/node/n")).to.equal(null);
  });

  it("names what a path lacks", async () => {
    const expectations = [
      ["catalog/service/", "Missing service name"],
      ["health/service/", "Missing service name"],
      ["health/checks/", "Missing service name"],
      ["catalog/node/", "Missing node name"],
      ["health/node/", "Missing node name"],
      ["health/state/", "Missing check state"],
    ];
    for (const [path, text] of expectations) {
      const answer = await consul().get(`/v1/${path}`);
      expect([answer.status, answer.text], path).to.deep.equal([400, text]);
    }
  });

  it("finds a service by its name in any case, and lists each name as it was registered", async () => {
    const name = unique("cased");
    const names = { [`${name}-1`]: name, [`${name}-2`]: name.toUpperCase() };
    for (const [id, one] of Object.entries(names))
      await consul().write("/v1/agent/service/register", { ID: id, Name: one });
    for (const asked of Object.values(names)) {
      const found = await consul().until<Instance[]>(
        `/v1/health/service/${asked}`,
        ({ length }) => length === 2,
      );
      expect(found.map(({ Service }) => Service.ID)).to.have.members(Object.keys(names));
      expect(await consul().read<Parsed[]>(`/v1/catalog/service/${asked}`)).to.have.length(2);
    }
    const listed = await consul().read("/v1/catalog/services");
    expect(listed).to.include.all.keys(...Object.values(names));
    const { index } = await consul().get(`/v1/health/service/${name}`);
    const path = `/v1/health/service/${name}?index=${index}&wait=60s`;
    const waiting = consul().read<Instance[]>(path);
    await consul().write(`/v1/agent/service/deregister/${name}-2`);
    expect((await waiting).map(({ Service }) => Service.ID)).to.deep.equal([`${name}-1`]);
  });

  it("filters by tags, all of which must be there, in any case", async () => {
    const name = unique("tagged");
    for (const [id, tags] of [
      ["1", ["v1", "Blue"]],
      ["2", ["v2"]],
    ] as const) {
      const body = { ID: `${name}-${id}`, Name: name, Tags: tags };
      await consul().write("/v1/agent/service/register", body);
    }
    await consul().until<unknown[]>(`/v1/health/service/${name}`, ({ length }) => length === 2);
    const ids = async (query: string) => {
      const found = await consul().read<Instance[]>(`/v1/health/service/${name}?${query}`);
      const listed = await consul().read<Parsed[]>(`/v1/catalog/service/${name}?${query}`);
      const health = found.map(({ Service }) => Service.ID);
      expect(listed.map(({ ServiceID }) => ServiceID)).to.deep.equal(health);
      return health;
    };
    expect(await ids("tag=v1")).to.deep.equal([`${name}-1`]);
    expect(await ids("tag=v1&tag=BLUE")).to.deep.equal([`${name}-1`]);
    expect(await ids("tag=v1&tag=v2")).to.deep.equal([]);
    const services = await consul().read<Record<string, string[]>>("/v1/catalog/services");
    expect(services[name]).to.have.members(["v1", "Blue", "v2"]);
  });

  it("filters by passing checks, those of the node included; a warning does not pass", async () => {
    const name = unique("checked");
    await consul().write("/v1/agent/service/register", { Name: name, Check: { TTL: "1h" } });
    const count = (query: string, length: number) =>
      consul().until<unknown[]>(
        `/v1/health/service/${name}${query}`,
        (found) => found.length === length,
      );
    await count("", 1);
    await count("?passing", 0);
    await consul().write(`/v1/agent/check/pass/service:${name}`);
    await count("?passing", 1);
    await count("?passing=1", 1);
    await consul().write(`/v1/agent/check/warn/service:${name}`);
    await count("?passing", 0);
    await count("?passing=false", 1);
    await consul().write(`/v1/agent/check/pass/service:${name}`);
    await count("?passing", 1);
    await consul().write("/v1/agent/maintenance?enable=true&reason=disk");
    await count("?passing", 0);
    await consul().write("/v1/agent/maintenance?enable=false");
    await count("?passing", 1);
    const refused = await consul().get(`/v1/health/service/${name}?passing=maybe`);
    expect([refused.status, refused.text]).to.deep.equal([400, "Invalid value for ?passing"]);
  });

  it("lists checks by state", async () => {
    const { name } = await external();
    const ids = async (state: string) => {
      const checks = await consul().read<Parsed[]>(`/v1/health/state/${state}`);
      return checks.map(({ CheckID }) => CheckID);
    };
    expect(await ids("passing")).to.include(`check-${name}`);
    expect(await ids("any")).to.include(`check-${name}`);
    expect(await ids("critical")).not.to.include(`check-${name}`);
  });

  it("keeps the indexes of a registration that says nothing new", async () => {
    const more = { Check: undefined };
    const { name, node } = await external(more);
    const path = `/v1/catalog/service/${name}`;
    const before = await consul().get(path);
    await consul().write("/v1/catalog/register", {
      Node: node,
      Address: "10.0.0.1",
      Service: { ID: `${name}-1`, Service: name, Port: 99, Tags: ["t"] },
    });
    const after = await consul().get(path);
    expect([after.index, after.text]).to.deep.equal([before.index, before.text]);
  });
};
