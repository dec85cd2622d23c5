import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import {
  fieldOf,
  openClient,
  type RawClient,
  requestBytes,
  until,
} from "../../test/support/http.ts";
import { startWorkerGateway, upstreamName, type WorkerGateway } from "./fixtures/worker-gateway.ts";

const get = requestBytes("GET /", [`Host: ${upstreamName}`]);

describe("what stands in front of an upstream", () => {
  let closers: (() => unknown)[] = [];
  let worker: WorkerGateway;
  /** The answers that the origins still owe. */
  let owed: ServerResponse[];
  /** The status that origins answer at once; 0: the test answers. */
  let status: number;

  beforeEach(() => {
    owed = [];
    status = 0;
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    closers = [];
  });

  async function origin(): Promise<{ host: string; port: number }> {
    const server = createServer((_, response) => {
      if (status === 0) owed.push(response);
      else response.writeHead(status).end("told");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    closers.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  }

  async function start(document: object): Promise<void> {
    worker = await startWorkerGateway(document);
    closers.push(() => worker.close());
  }

  async function ask(): Promise<RawClient> {
    const client = await openClient(worker.port);
    closers.push(() => client.close());
    client.send(get, "GET");
    return client;
  }

  async function told(): Promise<string> {
    const answer = await (await ask()).finalAnswer();
    return `${answer.status} ${answer.body.toString().split(":")[0]}`;
  }

  const gate = () => worker.gateway.router.upstream(upstreamName)?.gate;
  const answerOne = () => owed.shift()?.end("fine");

  it("lets so many requests be there at once, has some wait in their order, and refuses the rest", async () => {
    await start({ servers: [await origin()], max_requests: 2, queue: 2 });
    const first = [await ask(), await ask()];
    await until("they are there", () => owed.length === 2);
    const third = await ask();
    await until("one waits", () => gate()?.waiting === 1);
    const fourth = await ask();
    await until("two wait", () => gate()?.waiting === 2);
    const refused = await (await ask()).finalAnswer();
    expect(refused.status).to.equal(503);
    expect(refused.body.toString()).to.match(
      /^503 queue_full: a\.test: 2 requests are there, and 2 wait/,
    );
    expect(fieldOf(refused, "retry-after")).to.equal("1");
    expect(owed).to.have.length(2);
    answerOne();
    await until("the next is there", () => owed.length === 2 && gate()?.waiting === 1);
    for (let left = 3; left > 0; left -= 1) {
      await until("one is owed", () => owed.length > 0);
      answerOne();
    }
    for (const client of [...first, third, fourth])
      expect((await client.finalAnswer()).status).to.equal(200);
    await until("nobody is counted", () => gate()?.inFlight === 0);
  });

  it("fails those that wait too long, and forgets those that have gone", async () => {
    await start({ servers: [await origin()], max_requests: 1, queue: 5, queue_timeout: 0.1 });
    const first = await ask();
    await until("it is there", () => owed.length === 1);
    const gone = await ask();
    await until("it waits", () => gate()?.waiting === 1);
    gone.close();
    const late = await ask();
    await until("both wait", () => gate()?.waiting === 2);
    worker.advance(101);
    const answer = await late.finalAnswer();
    expect(answer.body.toString()).to.match(/^503 queue_timeout: a\.test: no room in 100 ms/);
    answerOne();
    expect((await first.finalAnswer()).status).to.equal(200);
    await until("nobody is counted", () => gate()?.inFlight === 0 && gate()?.waiting === 0);
    status = 200;
    expect(await told()).to.equal("200 told");
  });

  const otherwise = [
    ["gone", null, 404],
    ["no longer a bound", {}, 200],
  ] as const;
  for (const [what, fields, status] of otherwise)
    it(`lets nobody wait for what is ${what}, whatever other workers had last`, async () => {
      const server = await origin();
      await start({ servers: [server], max_requests: 1, queue: 5 });
      const first = await ask();
      await until("it is there", () => owed.length === 1);
      const second = await ask();
      await until("it waits", () => gate()?.waiting === 1);
      const known = gate();
      if (known !== undefined && known !== null) known.elsewhere = 1;
      worker.change(fields === null ? null : { servers: [server], ...fields });
      if (fields !== null) await until("it is there", () => owed.length === 2);
      while (owed.length > 0) answerOne();
      const answer = await second.finalAnswer();
      expect(answer.status).to.equal(status);
      expect(answer.body.toString()).to.not.include("queue_timeout");
      expect((await first.finalAnswer()).status).to.equal(200);
    });

  it("gives the places of clients that have gone to others", async () => {
    await start({ servers: [await origin()], max_requests: 1, queue: 1 });
    const first = await ask();
    await until("it is there", () => owed.length === 1);
    const gone = await ask();
    await until("it waits", () => gate()?.waiting === 1);
    gone.close();
    await until("the gateway knows", () => worker.exchanges() === 1);
    worker.advance(100);
    const third = await ask();
    await until("it waits", () => worker.exchanges() === 2);
    expect(await told()).to.equal("503 503 queue_full");
    answerOne();
    await until("the third is there", () => owed.length === 1);
    answerOne();
    for (const client of [first, third]) expect((await client.finalAnswer()).status).to.equal(200);
  });

  it("gives a server no more than max_conns, the others the rest, and has requests wait when all are full", async () => {
    const servers = [
      { ...(await origin()), max_conns: 1, weight: 100 },
      { ...(await origin()), max_conns: 2 },
    ];
    await start({ servers, queue: 1 });
    const clients = [await ask(), await ask(), await ask()];
    await until("all are there", () => owed.length === 3);
    const fourth = await ask();
    await until("it waits", () => gate()?.waiting === 1);
    const refused = await (await ask()).finalAnswer();
    expect(refused.body.toString()).to.match(
      /^503 queue_full: a\.test: all servers have as many requests as max_conns allows, and 1 wait/,
    );
    while (owed.length > 0) answerOne();
    await until("it is there", () => owed.length === 1);
    answerOne();
    for (const client of [...clients, fourth])
      expect((await client.finalAnswer()).status).to.equal(200);
    await until("nobody is counted", () => gate()?.inFlight === 0);
  });

  it("opens the breaker when too many fail, and closes it when probes go well", async () => {
    const breaker = { error_percent: 50, min_requests: 4, interval: 10, open: 5, probes: 2 };
    await start({ servers: [await origin()], max_requests: 10, breaker });
    status = 500;
    for (let n = 0; n < 4; n += 1) expect(await told()).to.equal("500 told");
    const refused = await (await ask()).finalAnswer();
    expect(refused.body.toString()).to.match(/^503 breaker_open: /);
    expect(fieldOf(refused, "retry-after")).to.equal("5");
    worker.advance(5_000);
    expect(await told(), "a probe").to.equal("500 told");
    expect(await told(), "open again").to.equal("503 503 breaker_open");
    worker.advance(5_000);
    status = 0;
    const probes = [await ask(), await ask()];
    await until("they are there", () => owed.length === 2);
    expect(await told(), "no more than so many").to.equal("503 503 breaker_open");
    status = 200;
    while (owed.length > 0) owed.shift()?.writeHead(200).end("told");
    for (const probe of probes) expect((await probe.finalAnswer()).status).to.equal(200);
    await until("it is closed", () => gate()?.breaker?.state(worker.now()) === "closed");
    for (let n = 0; n < 10; n += 1) expect(await told()).to.equal("200 told");
  });

  it("gives a probe's permit to another when its client has gone", async () => {
    const breaker = { min_requests: 1, open: 5, probes: 1 };
    await start({ servers: [await origin()], breaker });
    status = 500;
    await told();
    worker.advance(5_000);
    status = 0;
    const gone = await ask();
    await until("it is there", () => owed.length === 1);
    gone.close();
    await until("it is over", () => gate()?.inFlight === 0);
    status = 200;
    expect(await told()).to.equal("200 told");
    expect(await told()).to.equal("200 told");
  });

  it("says what the document says while the breaker is open", async () => {
    const answer = { status: 502, headers: { "x-why": "resting" }, body: "later" };
    await start({ servers: [await origin()], breaker: { min_requests: 1, answer } });
    status = 500;
    await told();
    const came = await (await ask()).finalAnswer();
    expect([came.status, came.body.toString()]).to.deep.equal([502, "later"]);
    expect(fieldOf(came, "x-why")).to.equal("resting");
  });

  it("repeats a share of the requests and no more", async () => {
    const servers = [await origin(), await origin()].map((one) => ({ ...one, max_fails: 0 }));
    const retry_budget = { percent: 10, min_per_second: 0.5 };
    await start({ servers, next_upstream: ["http_500"], retry_budget });
    status = 500;
    const budget = () => worker.gateway.router.upstream(upstreamName)?.retryBudget;
    for (let n = 0; n < 100; n += 1) expect(await told()).to.equal("500 told");
    expect(budget()?.taken).to.be.within(10, 11);
    worker.advance(11_000);
    await told();
    expect(budget()?.taken).to.equal(1);
  });
});
