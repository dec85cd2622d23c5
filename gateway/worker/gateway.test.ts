import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { openClient, requestBytes } from "../../test/support/http.ts";
import { PeerBook } from "../balancing/index.ts";
import { parseUpstreamDocument } from "../documents/index.ts";
import type { FailureCode, Handler, Target } from "../engine/engine.ts";
import { createHttpEngine } from "../engine/index.ts";
import { emptyTables } from "../model/index.ts";
import { Traffic } from "../observability/traffic.ts";
import { createSandbox, defaultSandboxLimits } from "../sandbox/index.ts";
import { type RequestContext, Router } from "../sites/index.ts";
import { FailureLog } from "./failure-log.ts";
import { Gateway } from "./gateway.ts";
import { HiddenServices } from "./hidden-services.ts";

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

  /** A gateway with one upstream; each pick is followed by a failure of this code, whatever happens to it. */
  async function scene(code: FailureCode | null, more: object = {}) {
    const servers = [
      { host: "127.0.0.1", port: await origin(200, "fine"), max_fails: 1_000 },
      { host: "127.0.0.1", port: 1, down: true },
    ];
    const tables = emptyTables();
    const document = { servers, try: 7, read_timeout: 1.5, try_timeout: 9, ...more };
    tables.upstream.set("a.test", parseUpstreamDocument("a.test", JSON.stringify(document)));
    let nowMs = 1_000;
    const now = () => nowMs;
    const lines: string[] = [];
    const say = (fields: object, message: string) =>
      lines.push(`${JSON.stringify(fields)} ${message}`);
    const log = { trace: say, debug: say, info: say, warn: say, error: say, fatal: say };
    const router = Router.build(tables, new PeerBook({ onRetired: () => {} }), {
      random: Math.random,
      now,
    });
    const sandbox = createSandbox({ limits: defaultSandboxLimits, log: () => {} });
    closers.push(() => sandbox.dispose());
    const gateway = new Gateway({
      router,
      sandbox,
      log,
      failures: new FailureLog(log, now, 1_024),
      hidden: new HiddenServices(log, now),
      exposes: ["documents"],
      accessLog: null,
      traffic: new Traffic(),
      now,
      watchTimeoutMs: 1_000,
      askForService: () => {},
    });
    const picked: (Target | null)[] = [];
    const handler: Handler<RequestContext> = {
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
    };
    const engine = createHttpEngine({
      handler,
      idPrefix: "test",
      onError: (error) => lines.push(String(error)),
    });
    closers.push(() => engine.drain(0));
    const { port: httpPort } = await engine.listen({ host: "127.0.0.1", port: 0 });
    const client = await openClient(httpPort);
    closers.push(() => client.close());
    return {
      lines,
      picked,
      ask: (method = "GET") =>
        client.request(requestBytes(`${method} /`, ["Host: a.test", "Content-Length: 0"])),
      fails: () => router.describe({ upstreams: ["a.test"], services: [] })[0]?.peers[0]?.fails,
      advance: (ms: number) => {
        nowMs += ms;
      },
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
