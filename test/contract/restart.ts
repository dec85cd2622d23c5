/** The contract of a restart: what was answered is kept, and indexes go on from where they were. */
import { expect } from "chai";
import type { TestConsul } from "../support/consul.ts";
import { ConsulApi, type Parsed } from "./api.ts";

export function restartContract(start: () => Promise<TestConsul>): void {
  let consul: TestConsul | null = null;

  beforeEach(async () => {
    consul = await start();
  });

  afterEach(() => consul?.stop());

  function running(): { consul: TestConsul; api: ConsulApi } {
    if (consul === null) throw new Error("not started");
    return { consul, api: new ConsulApi(consul.url) };
  }

  it("keeps what was answered, also after kill -9", async () => {
    const { consul, api } = running();
    await api.write("/v1/kv/kept", "first");
    const [entry] = await api.read<Parsed[]>("/v1/kv/kept");
    await api.write("/v1/agent/service/register", { Name: "web", Port: 80, Tags: ["a"] });
    await api.until<unknown[]>("/v1/catalog/service/web", ({ length }) => length === 1);
    await api.write("/v1/kv/deleted", "x");
    await api.delete("/v1/kv/deleted");
    const { index } = await api.get("/v1/kv/?recurse");
    await api.write("/v1/kv/last", "written just before");
    await consul.kill();
    await consul.restart({ keepData: true });
    expect(await api.read("/v1/kv/kept")).to.deep.equal([entry]);
    expect((await api.get("/v1/kv/last?raw")).text).to.equal("written just before");
    expect((await api.get("/v1/kv/deleted")).status).to.equal(404);
    expect((await api.get("/v1/kv/?recurse")).index).to.be.above(index);
    expect((await api.read<Parsed>("/v1/agent/services")).web).to.include({ Port: 80 });
    await api.until<Parsed[]>("/v1/catalog/service/web", ([web]) => web?.ServicePort === 80);
  });

  it("goes on with higher indexes after an ordinary end", async () => {
    const { consul, api } = running();
    await api.write("/v1/kv/a", "1");
    const before = await api.get("/v1/kv/a");
    await consul.restart({ keepData: true });
    await api.write("/v1/kv/a", "2");
    expect((await api.get("/v1/kv/a")).index).to.be.above(before.index);
  });

  it("comes back empty without its data, with indexes that begin again", async () => {
    const { consul, api } = running();
    for (let round = 0; round < 50; round += 1) await api.write("/v1/kv/a", String(round));
    const before = await api.get("/v1/kv/a");
    await consul.restart({ keepData: false });
    const after = await api.get("/v1/kv/a");
    expect(after.status).to.equal(404);
    expect(after.index).to.be.below(before.index);
  });
}
