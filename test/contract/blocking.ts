/** The contract of blocking queries and of the indexes that they go by. */
import { expect } from "chai";
import { type ConsulApi, type Contract, unique, watch } from "./api.ts";

export const blockingContract: Contract = (consul) => {
  it("tells index, leader and last contact on every read", async () => {
    const reads = [
      "/v1/kv/nothing-here",
      "/v1/catalog/services",
      "/v1/catalog/service/consul",
      "/v1/catalog/nodes",
      "/v1/health/service/consul",
      "/v1/health/checks/consul",
      "/v1/health/state/any",
      "/v1/session/list",
    ];
    for (const path of reads) {
      const { headers, index } = await consul().get(path);
      expect(index, path).to.be.at.least(1);
      expect(headers.get("X-Consul-KnownLeader"), path).to.equal("true");
      expect(headers.get("X-Consul-LastContact"), path).to.equal("0");
    }
  });

  it("answers at once when the index has passed, or is 0", async () => {
    const path = await writtenKey(consul());
    const { index } = await consul().get(path);
    await consul().write(path, "two");
    expect((await consul().get(`${path}?index=${index}&wait=60s`)).index).to.be.above(index);
    expect((await consul().get(`${path}?index=0&wait=60s`)).status).to.equal(200);
  });

  it("ends without a change when the wait is over, with the same index and value", async () => {
    const path = await writtenKey(consul());
    const before = await consul().get(path);
    const start = performance.now();
    const after = await consul().get(`${path}?index=${before.index}&wait=300ms`);
    // Timers may fire a millisecond early.
    expect(performance.now() - start).to.be.at.least(295);
    expect([after.index, after.text]).to.deep.equal([before.index, before.text]);
  });

  it("waits as well for an index that is not reached yet", async () => {
    const path = await writtenKey(consul());
    const { index } = await consul().get(path);
    const start = performance.now();
    const answer = await consul().get(`${path}?index=${index + 1_000_000}&wait=200ms`);
    expect(performance.now() - start).to.be.at.least(195);
    expect(answer.index).to.equal(index);
  });

  it("wakes the query of a key when it is written and when it is deleted", async () => {
    const path = await writtenKey(consul());
    const first = await consul().get(path);
    const forWrite = await watch(consul(), path, first.index);
    expect(forWrite.pending).to.equal(true);
    await consul().write(path, "two");
    const second = await forWrite.answer;
    expect(second.index).to.be.above(first.index);
    const forDeletion = await watch(consul(), path, second.index);
    await consul().delete(path);
    const third = await forDeletion.answer;
    expect(third.status).to.equal(404);
    expect(third.index).to.be.above(second.index);
  });

  it("wakes the query of a key that is not there when it appears", async () => {
    const path = `/v1/kv/${unique("later")}`;
    const { index } = await consul().get(path);
    const waiting = await watch(consul(), path, index);
    await consul().write(path, "here");
    expect((await waiting.answer).status).to.equal(200);
  });

  it("wakes the query of a prefix by changes within it only", async () => {
    const [one, other] = [unique("one"), unique("other")];
    await consul().write(`/v1/kv/${one}/a`, "1");
    await consul().write(`/v1/kv/${other}/a`, "1");
    const path = `/v1/kv/${one}/?recurse`;
    const { index } = await consul().get(path);
    const waiting = await watch(consul(), path, index);
    const beside = await consul().get(`/v1/kv/${other}/?recurse`);
    const witness = await watch(consul(), `/v1/kv/${other}/?recurse`, beside.index);
    await consul().write(`/v1/kv/${other}/b`, "2");
    await witness.answer;
    expect(waiting.pending).to.equal(true);
    await consul().write(`/v1/kv/${one}/b`, "2");
    const answer = await waiting.answer;
    expect(answer.index).to.be.above(index);
    expect(JSON.parse(answer.text)).to.have.length(2);
  });

  it("wakes the query of a prefix by a deletion, also of its last key", async () => {
    const root = unique("tree");
    for (const key of ["a", "b"]) await consul().write(`/v1/kv/${root}/${key}`, key);
    const path = `/v1/kv/${root}/?recurse`;
    let { index } = await consul().get(path);
    for (const [key, status] of [
      ["b", 200],
      ["a", 404],
    ] as const) {
      const waiting = await watch(consul(), path, index);
      await consul().delete(`/v1/kv/${root}/${key}`);
      const answer = await waiting.answer;
      expect(answer.status).to.equal(status);
      expect(answer.index).to.be.above(index);
      index = answer.index;
    }
  });

  it("wakes the query of a service by that service only", async () => {
    const [one, other] = [unique("one"), unique("other")];
    for (const Name of [one, other]) await register(consul(), Name, 1000);
    const path = `/v1/health/service/${one}`;
    const { index } = await consul().get(path);
    const waiting = await watch(consul(), path, index);
    const beside = await consul().get(`/v1/health/service/${other}`);
    const witness = await watch(consul(), `/v1/health/service/${other}`, beside.index);
    await register(consul(), other, 2000);
    await witness.answer;
    expect(waiting.pending).to.equal(true);
    await register(consul(), one, 3000);
    const answer = await waiting.answer;
    expect(answer.index).to.be.above(index);
    expect(JSON.parse(answer.text)[0].Service.Port).to.equal(3000);
  });

  it("wakes the queries of a service, of the catalog and of checks when a check changes or a service leaves", async () => {
    const name = unique("web");
    await consul().write("/v1/agent/service/register", { Name: name, Check: { TTL: "1h" } });
    const service = `/v1/health/service/${name}`;
    await consul().until<unknown[]>(service, (found) => found.length === 1);
    const checks = "/v1/health/state/critical";
    const [ofService, ofChecks] = [await consul().get(service), await consul().get(checks)];
    const forStatus = await watch(consul(), service, ofService.index);
    const forChecks = await watch(consul(), checks, ofChecks.index);
    await consul().write(`/v1/agent/check/pass/service:${name}`);
    expect(JSON.parse((await forStatus.answer).text)[0].Checks.at(-1).Status).to.equal("passing");
    await forChecks.answer;

    const [passing, catalog] = [
      await consul().get(service),
      await consul().get("/v1/catalog/services"),
    ];
    const forLeaving = await watch(consul(), service, passing.index);
    const forCatalog = await watch(consul(), "/v1/catalog/services", catalog.index);
    await consul().write(`/v1/agent/service/deregister/${name}`);
    const left = await forLeaving.answer;
    expect(left.text).to.equal("[]");
    expect(left.index).to.be.above(passing.index);
    expect(JSON.parse((await forCatalog.answer).text)).not.to.have.property(name);
  });

  it("wakes the query of a service that is not there when it appears", async () => {
    const name = unique("later");
    const path = `/v1/health/service/${name}`;
    const { index } = await consul().get(path);
    const waiting = await watch(consul(), path, index);
    await consul().write("/v1/agent/service/register", { Name: name, Port: 1 });
    const answer = await waiting.answer;
    expect(JSON.parse(answer.text)).to.have.length(1);
    expect(answer.index).to.be.above(index);
  });

  it("never lets an index go backwards, whatever is written and deleted", async () => {
    const [name, root] = [unique("web"), unique("tree")];
    const reads = [
      `/v1/kv/${root}/?recurse`,
      `/v1/kv/${root}/?keys`,
      "/v1/catalog/services",
      `/v1/catalog/service/${name}`,
      `/v1/health/service/${name}`,
      `/v1/health/checks/${name}`,
      "/v1/health/state/any",
      "/v1/catalog/nodes",
      "/v1/session/list",
    ];
    const last = new Map<string, number>();
    const steps = [
      () => consul().write(`/v1/kv/${root}/a`, "1"),
      () => consul().write(`/v1/kv/${root}/b`, "1"),
      () => consul().delete(`/v1/kv/${root}/b`),
      () => register(consul(), name, 1),
      () => register(consul(), name, 2),
      () => consul().write("/v1/session/create"),
      () => consul().write(`/v1/agent/service/deregister/${name}`),
      () => consul().delete(`/v1/kv/${root}/?recurse`),
      () => register(consul(), name, 3),
      () => consul().write(`/v1/agent/service/deregister/${name}`),
    ];
    for (const [at, step] of steps.entries()) {
      await step();
      for (const path of reads) {
        const { index } = await consul().get(path);
        expect(index, `${path} after step ${at}`).to.be.at.least(last.get(path) ?? 1);
        last.set(path, index);
      }
    }
  });

  it("refuses an index or a wait that is none", async () => {
    const expectations = [
      ["index=abc", "Invalid index"],
      ["index=-1", "Invalid index"],
      ["wait=abc", "Invalid wait time"],
      ["index=1&wait=5", "Invalid wait time"],
      ["stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."],
    ];
    for (const [query, message] of expectations) {
      const answer = await consul().get(`/v1/catalog/services?${query}`);
      expect([answer.status, answer.text]).to.deep.equal([400, message]);
    }
  });

  it("goes on answering when clients hang up on their queries", async () => {
    const path = await writtenKey(consul());
    const { index } = await consul().get(path);
    const hangUp = new AbortController();
    // Few: a real Consul counts a query that was hung up as a connection of its client, of which it allows
    // 200, until its wait is over.
    const queries = Array.from({ length: 20 }, () =>
      consul().get(`${path}?index=${index}&wait=60s`, hangUp.signal),
    );
    const outcomes = Promise.allSettled(queries);
    await consul().get("/v1/status/leader");
    hangUp.abort();
    for (const { status } of await outcomes) expect(status).to.equal("rejected");
    expect((await consul().get(path)).status).to.equal(200);
  });
};

async function writtenKey(api: ConsulApi): Promise<string> {
  const path = `/v1/kv/${unique("key")}`;
  await api.write(path, "one");
  return path;
}

/** Registers a service and waits until the catalog has it with this port. */
async function register(api: ConsulApi, name: string, port: number): Promise<void> {
  await api.write("/v1/agent/service/register", { Name: name, Port: port });
  await api.until<{ ServicePort: number }[]>(
    `/v1/catalog/service/${name}`,
    (found) => found[0]?.ServicePort === port,
  );
}
