/** The admin API's door on real sockets: who is let in, what is limited, what the log says. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import https from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { expect } from "chai";
import type { FastifyInstance } from "fastify";
import { until } from "../../../test/support/conditions.ts";
import type { Operations } from "../../releases/index.ts";
import type { AdminAccess } from "./access.ts";
import { defaultAdminLimits } from "./listener.ts";
import { type AdminOptions, createAdmin } from "./server.ts";

const token = "a-token-for-these-tests";
const bearer = { authorization: `Bearer ${token}` };
const onLoopback: AdminAccess = {
  token,
  isGiven: false,
  tls: null,
  hosts: ["sluice.example"],
  openMetrics: false,
  openWrites: false,
};
const pem = (name: string) =>
  readFileSync(
    join(import.meta.dirname, "../../../test/fixtures/admin-tls", `${name}.pem`),
    "utf8",
  );
const serverTls = { cert: pem("test-only-server-certificate"), key: pem("test-only-server-key") };
const ca = pem("test-only-ca");
const clientTls = {
  cert: pem("test-only-client-certificate"),
  key: pem("test-only-client-key"),
  ca,
};

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

describe("the admin API", () => {
  let server: FastifyInstance | null = null;
  let lines: Line[] = [];
  let nowMs = 0;
  let released = 0;

  async function start(more: Partial<AdminOptions> = {}): Promise<number> {
    const note = (level: string) => (fields: object, message: string) => {
      lines.push({ level, message, fields: { ...fields } });
    };
    const levels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
    const [trace, debug, info, warn, error, fatal] = levels.map(note);
    if (!trace || !debug || !info || !warn || !error || !fatal) throw new Error("no log");
    server = createAdmin({
      // Neither is asked by these tests.
      status: () => ({ version: 1 }) as ReturnType<AdminOptions["status"]>,
      views: {
        upstreams: { show: async () => null },
        hosts: { show: async () => null },
        asSlardar: () => ({}),
      },
      fleet: { show: () => Promise.reject(new Error("not asked")) },
      explainer: { explain: async () => Promise.reject(new Error("no worker")) },
      metrics: async (isOpen) => ({ contentType: "text/plain", text: JSON.stringify({ isOpen }) }),
      operations: { list: async () => [] } as unknown as Operations,
      delivery: {} as AdminOptions["delivery"],
      peers: {} as AdminOptions["peers"],
      knownPeers: {} as AdminOptions["knownPeers"],
      local: {} as AdminOptions["local"],
      notReady: () => "Consul hangs",
      release: () => {
        released += 1;
        return 0;
      },
      access: onLoopback,
      isExposed: false,
      log: { trace, debug, info, warn, error, fatal },
      ticks: () => nowMs,
      ...more,
    });
    await server.listen({ host: "127.0.0.1", port: 0 });
    const address = server.server.address();
    if (address === null || typeof address === "string") throw new Error("no address");
    return address.port;
  }

  async function ask(
    port: number,
    method: string,
    path: string,
    headers: IncomingHttpHeaders = {},
    tls: object | null = null,
  ) {
    const options = { host: "127.0.0.1", port, method, path, headers, agent: false as const };
    const asked = tls === null ? request(options) : https.request({ ...options, ...tls });
    asked.end();
    const [answer] = await once(asked, "response");
    const json: Readonly<Record<string, unknown>> = JSON.parse(await readText(answer));
    return { status: answer.statusCode as number, headers: answer.headers, body: json };
  }

  beforeEach(() => {
    lines = [];
    nowMs = 0;
    released = 0;
  });
  afterEach(async () => {
    await server?.close();
    server = null;
  });

  it("says in the words of the page what a question for explain lacks", async () => {
    const port = await start();
    const { status, body } = await ask(port, "GET", "/explain");
    expect(status).to.equal(400);
    expect(body.message).to.match(/^url: is missing, or given more than once; the query has url/);
  });

  it("answers reads on loopback, and writes only with the token", async () => {
    const port = await start();
    expect((await ask(port, "GET", "/status")).status).to.equal(200);
    expect((await ask(port, "GET", "/scripts")).status).to.equal(200);
    const without: readonly IncomingHttpHeaders[] = [
      {},
      { authorization: "Bearer " },
      { authorization: token },
      { authorization: `Basic ${token}` },
      { authorization: `Bearer ${token}x` },
      { authorization: `Bearer ${token.slice(0, -1)}` },
      { authorization: `Bearer ${token}, Bearer ${token}` },
    ];
    for (const headers of without) {
      for (const [method, path] of [
        ["POST", "/resync"],
        ["PUT", "/scripts/a.example"],
        ["DELETE", "/modules/a"],
        ["POST", "/scripts/a.example/rollback"],
        ["OPTIONS", "/status"],
        ["PUT", "/nowhere"],
      ] as const) {
        const answer = await ask(port, method, path, headers);
        expect([answer.status, answer.body.error], path).to.deep.equal([401, "unauthorized"]);
        expect(answer.headers["www-authenticate"]).to.equal('Bearer realm="sluice"');
      }
    }
    expect(released).to.equal(0);
    expect((await ask(port, "POST", "/resync", bearer)).status).to.equal(200);
    const lower = { authorization: `bearer ${token}` };
    expect((await ask(port, "POST", "/resync", lower)).status).to.equal(200);
    expect(released).to.equal(2);
  });

  it("needs the token for reads, too, where other machines reach it, but for the probes", async () => {
    const port = await start({ isExposed: true });
    expect((await ask(port, "GET", "/status")).status).to.equal(401);
    expect((await ask(port, "HEAD", "/scripts").catch(() => null))?.status ?? 401).to.equal(401);
    expect((await ask(port, "GET", "/healthz")).status).to.equal(200);
    expect((await ask(port, "GET", "/readyz")).status).to.equal(503);
    expect((await ask(port, "POST", "/healthz")).status).to.equal(401);
    expect((await ask(port, "GET", "/healthz/../status")).status).to.equal(401);
    expect((await ask(port, "GET", "/status", bearer)).status).to.equal(200);
  });

  it("opens /metrics, and nothing else, to whoever reaches it when it is told to", async () => {
    const shut = await start({ isExposed: true });
    expect((await ask(shut, "GET", "/metrics")).status).to.equal(401);
    await server?.close();
    const open = await start({ isExposed: true, access: { ...onLoopback, openMetrics: true } });
    const asked = await ask(open, "GET", "/metrics", { accept: "application/openmetrics-text" });
    expect([asked.status, asked.body.isOpen]).to.deep.equal([200, true]);
    expect((await ask(open, "GET", "/metrics")).body.isOpen).to.equal(false);
    for (const path of ["/status", "/metrics/../status", "/hosts", "/upstreams"])
      expect((await ask(open, "GET", path)).status, path).to.equal(401);
    expect((await ask(open, "POST", "/metrics")).status).to.equal(401);
  });

  it("refuses a Host that is not its own, foreign pages and what came through a gateway", async () => {
    const port = await start();
    const ours = [
      "127.0.0.1",
      "127.8.8.8:1",
      "localhost:99",
      "LOCALHOST.",
      "[::1]:1",
      "sluice.example",
    ];
    for (const host of ours) {
      expect((await ask(port, "GET", "/status", { host })).status, host).to.equal(200);
    }
    const foreign: readonly (readonly [headers: IncomingHttpHeaders, error: string])[] = [
      ...[
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.1.2.3",
        "0.0.0.0",
      ].map((host) => [{ host }, "foreign_host"] as const),
      ...["a:b:c", "[::2]", "user@localhost", "localhost, evil.example"].map(
        (host) => [{ host }, "foreign_host"] as const,
      ),
      [{ origin: "https://evil.example" }, "foreign_origin"],
      [{ origin: "null" }, "foreign_origin"],
      [{ host: "localhost:1", origin: "http://localhost:2" }, "foreign_origin"],
      [{ "sec-fetch-site": "cross-site" }, "foreign_origin"],
      [{ "sec-fetch-site": "same-site" }, "foreign_origin"],
      [{ via: "1.1 sluice" }, "through_a_gateway"],
    ];
    for (const [headers, error] of foreign) {
      for (const [method, path] of [
        ["GET", "/status"],
        ["GET", "/readyz"],
        ["POST", "/resync"],
      ] as const) {
        const answer = await ask(port, method, path, { ...bearer, ...headers });
        const label = `${method} ${JSON.stringify(headers)}`;
        expect([answer.status, answer.body.error], label).to.deep.equal([403, error]);
      }
    }
    expect(released).to.equal(0);
    const own = {
      host: "localhost:1",
      origin: "http://localhost:1",
      "sec-fetch-site": "same-origin",
    };
    expect((await ask(port, "GET", "/status", own)).status).to.equal(200);
    expect((await ask(port, "GET", "http://evil.example/status")).status).to.equal(400);
  });

  it("logs who wrote what from where and how it ended, never the token, and no flood of refusals", async () => {
    const port = await start();
    await ask(port, "GET", "/status", bearer);
    expect(lines).to.deep.equal([]);
    await ask(port, "POST", "/resync?x=1", { ...bearer, "sluice-by": "ada" });
    expect(lines.map(({ level, message }) => [level, message])).to.deep.equal([
      ["info", "admin API: POST /resync by ada (127.0.0.1): 200"],
    ]);
    expect(lines[0]?.fields).to.deep.include({
      method: "POST",
      path: "/resync",
      status: 200,
      by: "ada",
    });
    lines = [];
    for (let each = 0; each < 40; each += 1) await ask(port, "PUT", "/scripts/a.example");
    expect(lines).to.have.length(30);
    nowMs += 60_000;
    await ask(port, "PUT", "/scripts/a.example");
    expect(lines.slice(30).map(({ message }) => message)).to.deep.equal([
      "admin API: 10 more writes were refused in that minute",
      "admin API: PUT /scripts/a.example by 127.0.0.1: 401",
    ]);
    expect(JSON.stringify(lines)).to.not.include(token);
  });

  it("ends a connection that says nothing, one that stops in its head and one in its body", async () => {
    const limits = { ...defaultAdminLimits, headTimeoutMs: 600, requestTimeoutMs: 900 };
    const port = await start({ limits });
    const head = `POST /resync HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n`;
    for (const bytes of ["", "GET /status HTTP/1.1\r\n", `${head}Content-Length: 9\r\n\r\nhalf`]) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.write(bytes);
      socket.resume();
      await once(socket, "close");
    }
    expect(released).to.equal(0);
  });

  it("takes only so many connections, heads and bodies", async () => {
    const port = await start({ limits: { ...defaultAdminLimits, maxConnections: 3 } });
    const sockets = await Promise.all(
      [1, 2, 3].map(async () => {
        const socket = connect(port, "127.0.0.1");
        await once(socket, "connect");
        return socket;
      }),
    );
    // Whoever is silent makes room, the one that has been for longest first.
    const [oldest, ...others] = sockets;
    if (oldest === undefined) throw new Error("three connections");
    const closed = once(oldest.resume(), "close");
    expect((await ask(port, "GET", "/healthz")).status).to.equal(200);
    await closed;
    expect(others.map(({ destroyed }) => destroyed)).to.deep.equal([false, false]);
    for (const socket of others) socket.destroy();
    const large = request({
      host: "127.0.0.1",
      port,
      headers: { x: "x".repeat(20_000) },
      agent: false,
    });
    large.end();
    expect((await once(large, "response"))[0]).to.have.property("statusCode", 431);
  });

  it("answers a probe while silent connections hold every place, and closes none that is being answered", async () => {
    for (const tls of [null, { ...serverTls, clientCa: null }]) {
      const answers: (() => void)[] = [];
      const upstreams = {
        show: () => new Promise<null>((resolve) => answers.push(() => resolve(null))),
      };
      const port = await start({
        limits: { ...defaultAdminLimits, maxConnections: 4 },
        access: { ...onLoopback, tls },
        views: { upstreams, hosts: { show: async () => null }, asSlardar: () => ({}) },
      });
      const asTls = tls === null ? null : { ca };
      const asked = [1, 2, 3].map(() => ask(port, "GET", "/upstreams", {}, asTls));
      await until("three are being answered", () => answers.length === 3);
      for (let round = 0; round < 20; round += 1) {
        const silent = connect(port, "127.0.0.1").on("error", () => {});
        await once(silent, "connect");
        expect((await ask(port, "GET", "/healthz", {}, asTls)).status).to.equal(200);
      }
      const fourth = ask(port, "GET", "/upstreams", {}, asTls);
      await until("four are being answered", () => answers.length === 4);
      const refused = await ask(port, "GET", "/healthz", {}, asTls).catch(
        (error: unknown) => error,
      );
      expect(refused).to.be.an("error");
      for (const answer of answers) answer();
      for (const { status } of await Promise.all([...asked, fourth])) expect(status).to.equal(404);
      await server?.close();
    }
  });

  it("speaks TLS, and takes a client's certificate for the token unless both are asked for", async () => {
    const access = { ...onLoopback, token: null, tls: { ...serverTls, clientCa: ca } };
    const port = await start({ access, isExposed: true });
    const refused = await ask(port, "GET", "/healthz", {}, { ca }).catch((error: Error) => error);
    expect(refused).to.be.instanceOf(Error);
    expect((await ask(port, "GET", "/status", {}, clientTls)).status).to.equal(200);
    expect((await ask(port, "POST", "/resync", {}, clientTls)).status).to.equal(200);
    expect(lines.at(-1)?.message).to.equal("admin API: POST /resync by test-only operator: 200");
    await server?.close();
    const both = await start({ access: { ...access, token, isGiven: true }, isExposed: true });
    expect((await ask(both, "GET", "/status", {}, clientTls)).status).to.equal(401);
    expect((await ask(both, "GET", "/status", bearer, clientTls)).status).to.equal(200);
  });
});
