import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import bunyan from "bunyan";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { freePort } from "../../test/support/ports.ts";
import { type Agent, startAgent } from "./index.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const log = bunyan.createLogger({ name: "test", level: "fatal" });

describe("the embedded agent", () => {
  let agent: Agent | null = null;
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-agent-"));
  });

  afterEach(async () => {
    await agent?.close();
    agent = null;
    await rm(directory, { recursive: true });
  });

  async function start(more: object = {}): Promise<string> {
    agent = await startAgent({ host: "127.0.0.1", port: 0, log, ...more });
    return agent.url;
  }

  it("answers what waits when it closes, and leaves no timer and no socket", async () => {
    const clock = new ManualClock();
    // On a port that nobody else has when it is closed.
    const url = await start({ clock, random: () => 0.5, port: await freePort() });
    const armed = clock.armed;
    await fetch(`${url}/v1/kv/a`, { method: "PUT", body: "x".repeat(500_000) });
    await fetch(`${url}/v1/agent/service/register`, {
      method: "PUT",
      body: JSON.stringify({ Name: "web", Check: { TTL: "60s" } }),
    });
    await fetch(`${url}/v1/session/create`, { method: "PUT", body: '{"TTL":"10s"}' });
    const index = Number((await fetch(`${url}/v1/kv/a`)).headers.get("X-Consul-Index"));
    const waiting = Array.from({ length: 50 }, async () => {
      const answer = await fetch(`${url}/v1/kv/a?index=${index}&wait=10m&raw`);
      return [answer.headers.get("X-Consul-Index"), (await answer.text()).length];
    });
    // The TTL, the session and the waits.
    await until("the queries wait", () => clock.armed === armed + 52);
    await agent?.close();
    for (const answer of waiting) expect(await answer).to.deep.equal([String(index), 500_000]);
    expect(clock.armed).to.equal(0);
    const refused = await fetch(url).then(
      () => "answered",
      () => "refused",
    );
    expect(refused).to.equal("refused");
    agent = null;
  });

  it("forgets the query of a client that hangs up", async () => {
    const clock = new ManualClock();
    const url = await start({ clock });
    const idle = clock.armed;
    const waiting = request(`${url}/v1/catalog/services?index=1000000&wait=10m`).end();
    waiting.on("error", () => {});
    await until("the query waits", () => clock.armed === idle + 1);
    waiting.destroy();
    await until("the query is forgotten", () => clock.armed === idle);
  });

  it("gives out higher indexes after a restart, and keeps its name", async () => {
    const first = await start({ dataDir: directory });
    await fetch(`${first}/v1/kv/a`, { method: "PUT", body: "x" });
    const before = await (await fetch(`${first}/v1/catalog/nodes`)).json();
    const index = Number((await fetch(`${first}/v1/kv/a`)).headers.get("X-Consul-Index"));
    await agent?.close();
    const second = await start({ dataDir: directory });
    await fetch(`${second}/v1/kv/b`, { method: "PUT", body: "x" });
    const later = Number((await fetch(`${second}/v1/kv/b`)).headers.get("X-Consul-Index"));
    expect(later).to.be.above(index);
    expect(await (await fetch(`${second}/v1/catalog/nodes`)).json()).to.deep.equal(before);
  });

  it("does not start with a state that it cannot read, and leaves the file as it is", async () => {
    await start({ dataDir: directory });
    await agent?.close();
    agent = null;
    const file = join(directory, "state.json");
    const torn = (await readFile(file, "utf8")).slice(0, -20);
    await writeFile(file, torn);
    const failure = await start({ dataDir: directory }).then(
      () => null,
      (error: Error) => error,
    );
    expect(failure?.name).to.equal("StateFileError");
    expect(failure?.message).to.include(file).and.not.include("\n");
    expect(await readFile(file, "utf8")).to.equal(torn);
  });

  it("rejects an address that is taken", async () => {
    const url = await start();
    const failure = await startAgent({
      host: "127.0.0.1",
      port: Number(new URL(url).port),
      dataDir: directory,
      log,
    }).then(
      () => null,
      (error: Error) => error,
    );
    expect(failure?.message).to.include("EADDRINUSE");
    expect(await readdir(directory)).not.to.include("state.json.new");
  });

  it("names the endpoint or the option that it does not have", async () => {
    const url = await start();
    const endpoint = await fetch(`${url}/v1/acl/tokens`);
    expect(endpoint.status).to.equal(404);
    expect(await endpoint.text()).to.equal("The embedded agent has no endpoint /v1/acl/tokens");
    const option = await fetch(`${url}/v1/catalog/services?filter=x`);
    expect(option.status).to.equal(400);
    expect(await option.text()).to.equal("The embedded agent does not support ?filter");
    const kind = await fetch(`${url}/v1/agent/check/register`, {
      method: "PUT",
      body: JSON.stringify({ Name: "n", GRPC: "127.0.0.1:1", Interval: "1s" }),
    });
    expect(kind.status).to.equal(400);
    expect(await kind.text()).to.include("GRPC");
  });
});
