/** Whom the embedded agent answers, and where its checks may go. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text as readText } from "node:stream/consumers";
import bunyan from "bunyan";
import { expect } from "chai";
import { eventually } from "../../test/support/registered.ts";
import { checkReach } from "./check-reach.ts";
import { type Agent, type AgentOptions, startAgent } from "./index.ts";
import { emptyCheck } from "./local-agent.ts";
import { probeHttp, probeTcp } from "./probes.ts";

const log = bunyan.createLogger({ name: "test", level: "fatal" });
const never = new AbortController().signal;

describe("the embedded agent's door", () => {
  let agent: Agent | null = null;
  const closers: (() => void)[] = [];

  afterEach(async () => {
    await agent?.close();
    agent = null;
    for (const close of closers.splice(0)) close();
  });

  async function start(more: Partial<AgentOptions> = {}): Promise<number> {
    agent = await startAgent({ host: "127.0.0.1", port: 0, log, ...more });
    return Number(new URL(agent.url).port);
  }

  async function put(port: number, key: string, headers: IncomingHttpHeaders): Promise<number> {
    const path = `/v1/kv/${key}`;
    const options = {
      host: "127.0.0.1",
      port,
      method: "PUT",
      path,
      headers,
      agent: false as const,
    };
    const asked = request(options).end("x");
    const [answer] = await once(asked, "response");
    await readText(answer);
    return answer.statusCode;
  }

  it("is open to this machine's names and to those it was given", async () => {
    const port = await start({ hosts: ["agent.example", "10.0.0.0/8"] });
    const own = ["127.0.0.1", `localhost:${port}`, "[::1]", "agent.example:1", "10.2.3.4"];
    for (const host of own) expect(await put(port, "a", { host }), host).to.equal(200);
    const origin = { host: `localhost:${port}`, origin: `http://localhost:${port}` };
    expect(await put(port, "a", origin)).to.equal(200);
  });

  it("is shut to other names, to web pages and to what came through a gateway", async () => {
    const port = await start();
    const foreign: readonly IncomingHttpHeaders[] = [
      ...["consul", "consul.service.consul", "evil.example", "10.2.3.4"].map((host) => ({ host })),
      ...["http://evil.example", "null", "http://localhost:1"].map((origin) => ({ origin })),
      ...["cross-site", "same-site"].map((site) => ({ "sec-fetch-site": site })),
      { via: "1.1 sluice" },
    ];
    for (const headers of foreign) {
      expect(await put(port, "stolen", headers), JSON.stringify(headers)).to.equal(403);
    }
    const read = await fetch(`http://127.0.0.1:${port}/v1/kv/stolen`);
    expect(read.status).to.equal(404);
  });

  it("takes a Host that is missing only from clients that need none", async () => {
    const port = await start();
    const socket = connect(port, "127.0.0.1");
    socket.end("GET /v1/status/leader HTTP/1.0\r\n\r\n");
    expect(await readText(socket)).to.match(/^HTTP\/1\.1 200 /);
    const empty = connect(port, "127.0.0.1");
    empty.end("GET /v1/status/leader HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n");
    expect(await readText(empty)).to.match(/^HTTP\/1\.1 403 /);
  });

  it("ends a connection that says nothing, one that stops in its head and one in its body, and no query that waits", async () => {
    // Long enough for the requests that are well, on a machine that is busy.
    const port = await start({ limits: { headTimeoutMs: 3_000, requestTimeoutMs: 4_000 } });
    const first = await fetch(`http://127.0.0.1:${port}/v1/kv/a`);
    const index = first.headers.get("x-consul-index");
    const waiting = fetch(`http://127.0.0.1:${port}/v1/kv/a?index=${index}&wait=10m`);
    const head = "PUT /v1/kv/late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    const closed = ["", "GET /v1/kv/a HTTP/1.1\r\n", `${head}half`].map((bytes) => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.write(bytes);
      socket.resume();
      return once(socket, "close");
    });
    await Promise.all(closed);
    expect((await fetch(`http://127.0.0.1:${port}/v1/kv/late`)).status).to.equal(404);
    expect(await put(port, "a", {})).to.equal(200);
    expect((await waiting).status).to.equal(200);
  });

  it("has so many connections at once, of which a silent one makes room", async () => {
    const port = await start({ limits: { maxConnections: 3 } });
    const silent = await Promise.all(
      [1, 2, 3].map(async () => {
        const socket = connect(port, "127.0.0.1").on("error", () => {});
        await once(socket, "connect");
        return socket.resume();
      }),
    );
    const [oldest] = silent;
    if (oldest === undefined) throw new Error("three connections");
    const closed = once(oldest, "close");
    expect(await put(port, "a", {})).to.equal(200);
    await closed;
    for (const socket of silent) socket.destroy();
  });

  it("sends checks to loopback and private addresses alone, whatever they are called", async () => {
    const reach = checkReach(null);
    const forbidden = [
      "8.8.8.8",
      "169.254.169.254",
      "0.0.0.0",
      "::",
      "fd00:ec2::254",
      "100.64.0.1",
    ];
    for (const host of forbidden) expect(reach.refusalOf(host), host).to.be.a("string");
    const free = [
      "127.9.9.9",
      "::1",
      "10.0.0.1",
      "172.31.0.1",
      "192.168.1.1",
      "fd12::1",
      "::ffff:10.0.0.1",
    ];
    for (const host of free) expect(reach.refusalOf(host), host).to.equal(null);
    // The resolver reads these as addresses: they are compared after that.
    for (const host of ["0x08080808", "134744072", "::ffff:808:808"]) {
      const tcp = { ...emptyCheck, kind: "tcp", tcp: `[${host}]:80` } as const;
      const outcome = await probeTcp(tcp, reach, 60_000, never);
      expect(outcome.output).to.include("checks may not reach").and.include("--check-addresses");
      const http = {
        ...emptyCheck,
        kind: "http",
        http: `http://${host.includes(":") ? `[${host}]` : host}/`,
      } as const;
      expect((await probeHttp(http, reach, 60_000, never)).output).to.include(
        "checks may not reach",
      );
    }
  });

  it("compares the address that it connects to, once for each connection", async () => {
    const server = createServer((_request, response) => response.end("seen"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const http = { ...emptyCheck, kind: "http", http: `http://localhost:${port}/` } as const;
    const outcome = await probeHttp(http, checkReach(["127.0.0.1"]), 60_000, never);
    expect(outcome).to.include({ status: "passing" });
    const refused = await probeHttp(http, checkReach(["10.0.0.0/8"]), 60_000, never);
    expect(refused.output).to.match(/checks may not reach localhost, which is .*127\.0\.0\.1/);
  });

  it("follows no redirect of a service that it checks", async () => {
    let led = 0;
    const target = createServer((_request, response) => {
      led += 1;
      response.end();
    });
    const origin = createServer((_request, response) => {
      const { port } = target.address() as AddressInfo;
      response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end();
    });
    for (const server of [target, origin]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      closers.push(() => server.close());
    }
    const port = await start({ random: () => 0 });
    const { port: originPort } = origin.address() as AddressInfo;
    await fetch(`http://127.0.0.1:${port}/v1/agent/service/register`, {
      method: "PUT",
      body: JSON.stringify({
        Name: "leads",
        Check: { HTTP: `http://127.0.0.1:${originPort}/`, Interval: "1s", Status: "passing" },
      }),
    });
    const output = await eventually("the check has looked", async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/agent/checks`);
      const checks = (await answer.json()) as Record<string, { readonly Output: string }>;
      const { Output = "" } = checks["service:leads"] ?? {};
      if (Output === "") throw new Error("not yet");
      return Output;
    });
    expect(output).to.include("302 Found (redirects are not followed)");
    expect(led).to.equal(0);
  });
});
