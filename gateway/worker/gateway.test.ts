import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { openClient, requestBytes } from "../../test/support/http.ts";
import type { FailureCode, Handler, Target } from "../engine/engine.ts";
import type { RequestContext } from "../sites/index.ts";
import { startWorkerGateway } from "./fixtures/worker-gateway.ts";
import type { Gateway } from "./gateway.ts";

describe("the gateway of a worker", () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function origin(status: number, text: string): Promise<number> {
    const server = createServer((_, response) => response.writeHead(status).end(text));
    await once(server.listen(0, "127.0.0.1"), "listening");
    closers.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  /**
   * A gateway with one upstream. After each pick a failure with this code is reported, whatever became of the try.
   */
  async function scene(code: FailureCode | null, more: object = {}) {
    const servers = [
      { host: "127.0.0.1", port: await origin(200, "fine"), max_fails: 1_000 },
      { host: "127.0.0.1", port: 1, down: true },
    ];
    const document = { servers, try: 7, read_timeout: 1.5, try_timeout: 9, ...more };
    const picked: (Target | null)[] = [];
    const wrap = (gateway: Gateway): Handler<RequestContext> => ({
      onRequest: (exchange) => gateway.onRequest(exchange),
      onPick(exchange) {
        const target = gateway.onPick(exchange);
        picked.push(target);
        if (target !== null && code !== null)
          gateway.onTryEnd(exchange, target, 0, { code, message: "what it was" }, 1);
        return target;
      },
      onResponse: (exchange) => {
        if (code === null) gateway.onResponse(exchange);
      },
      onTryEnd: (exchange, ...end) => gateway.onTryEnd(exchange, ...end),
      onEnd: (exchange) => gateway.onEnd(exchange),
    });
    const worker = await startWorkerGateway(document, wrap);
    closers.push(() => worker.close());
    const client = await openClient(worker.port);
    closers.push(() => client.close());
    return {
      lines: worker.lines,
      picked,
      ask: (method = "GET") =>
        client.request(requestBytes(`${method} /`, ["Host: a.test", "Content-Length: 0"])),
      fails: () => {
        const { router } = worker.gateway;
        return router.describe({ upstreams: ["a.test"], services: [] })[0]?.peers[0]?.fails;
      },
      advance: worker.advance,
    };
  }

  it("gives a request the limits that its upstream's document has", async () => {
    const { ask, picked } = await scene("reset");
    expect((await ask()).status).to.equal(200);
    await ask();
    expect(picked[0]).to.include({ maxTries: 7, readTimeoutMs: 1500, tryTimeoutMs: 9000 });
    expect(picked[1], "made once for a version").to.equal(picked[0]);
  });

  it("counts the failure of a peer against it", async () => {
    const { ask, fails } = await scene("connect_failed");
    await ask();
    await ask();
    expect(fails()).to.equal(2);
  });

  it("asks another server after the statuses that the document names, and counts them as failures", async () => {
    const busy = {
      host: "127.0.0.1",
      port: await origin(503, "busy"),
      weight: 1_000,
      max_fails: 9,
    };
    const other = { host: "127.0.0.1", port: await origin(200, "other") };
    const servers = [busy, other];
    const named = await scene(null, { servers, next_upstream: ["http_503"] });
    const answer = await named.ask();
    expect(answer.body.toString()).to.equal("other");
    expect(named.fails()).to.equal(1);
    expect((await named.ask("POST")).status, "what it may have acted on").to.equal(503);
    const unsafe = await scene(null, { servers, next_upstream: ["http_503", "non_idempotent"] });
    expect((await unsafe.ask("POST")).body.toString()).to.equal("other");
    const silent = await scene(null, { servers });
    expect((await silent.ask()).status).to.equal(503);
    expect(silent.fails()).to.equal(0);
  });

  it("counts what the gateway lacks against nobody, and says it once a second with the limit", async () => {
    const { ask, fails, lines, advance } = await scene("no_resources");
    for (let n = 0; n < 3; n += 1) await ask();
    expect(fails()).to.equal(0);
    expect(lines).to.deep.equal([
      '{"code":"no_resources","leftOut":0,"descriptors":1024} what it was',
    ]);
    advance(1_000);
    await ask();
    expect(lines).to.have.length(2);
    expect(lines[1]).to.contain('"leftOut":2');
  });
});
