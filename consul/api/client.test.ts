import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import {
  answerJson,
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from "../fixtures/scripted-server.ts";
import { type ConsulClient, createConsul, type Query } from "./client.ts";
import { ConsulError, describeConsulError } from "./errors.ts";

const secret = "7a1c2d4e-token";
const catalog: Query = { path: "/catalog/services", index: null };
const keys: Query = {
  path: "/kv/{key}",
  params: { key: "sluice/hosts/" },
  query: { recurse: "true" },
  index: null,
  emptyWhenMissing: true,
};

describe("the client of Consul", () => {
  let server: ScriptedServer;
  let consul: ConsulClient;

  const begin = async (script: Script) => {
    server = await startScriptedServer(script);
    consul = createConsul({ url: server.url, token: secret }, {});
  };
  afterEach(async () => {
    consul.close();
    await server.stop();
  });

  const failure = async (query: Query): Promise<ConsulError> => {
    try {
      await consul.read(query);
    } catch (error) {
      expect(error).to.be.instanceOf(ConsulError);
      if (error instanceof ConsulError) {
        expect(`${error.message} ${describeConsulError(error)}`).not.to.contain(secret);
        return error;
      }
    }
    throw new Error("the read did not fail");
  };

  it("sends the token, the key, the index and the wait, and reads index and body", async () => {
    await begin((response) => answerJson(response, 42, [{ Key: "a" }]));
    const answer = await consul.read({ ...keys, index: 41, waitMs: 60_000 });
    expect(answer).to.deep.equal({ index: 42, body: [{ Key: "a" }], filtered: false, bytes: 13 });
    const [request] = server.requests;
    expect(request?.headers["x-consul-token"]).to.equal(secret);
    expect(decodeURIComponent(request?.path ?? "")).to.equal("/v1/kv/sluice/hosts/");
    expect(Object.fromEntries(request?.query ?? [])).to.deep.equal({
      recurse: "true",
      index: "41",
      wait: "60000ms",
    });
  });

  it("sends the namespace and the partition that are named, and stops where Consul has none", async () => {
    server = await startScriptedServer((response) => answerJson(response, 1, {}));
    const scope = { namespace: "team", partition: "west" };
    consul = createConsul({ url: server.url, ...scope }, { CONSUL_NAMESPACE: "other" });
    await consul.read(catalog);
    const sent = () => {
      const { headers } = server.requests.at(-1) ?? {};
      return [headers?.["x-consul-namespace"], headers?.["x-consul-partition"]];
    };
    expect(sent()).to.deep.equal(["team", "west"]);
    await consul.api.kv.set("a", "b");
    expect(sent()).to.deep.equal(["team", "west"]);
    expect(consul.unknownScope).to.equal(null);
    server.script = (response, { headers }) => {
      if (headers["x-consul-namespace"] === undefined) answerJson(response, 2, {});
      else {
        response.writeHead(400);
        response.end('Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature');
      }
    };
    expect(await consul.read(catalog)).to.include({ index: 2 });
    expect(sent()).to.deep.equal([undefined, undefined]);
    expect(consul.unknownScope).to.deep.equal(scope);
  });

  it("takes no answer from a server that has lost its leader for long", async () => {
    await begin((response, _request, count) => {
      response.setHeader("x-consul-lastcontact", count === 1 ? "200" : "11000");
      answerJson(response, 7, {});
    });
    expect(await consul.read(catalog)).to.include({ index: 7 });
    const error = await failure(catalog);
    expect(error).to.include({ code: "outdated", status: 200 });
    expect(error.message).to.match(/catalog\/services: .* nothing from the leader for 11 s$/);
  });

  it("does not send an index of 0 nor a wait without an index", async () => {
    await begin((response) => answerJson(response, 1, {}));
    await consul.read({ ...catalog, index: 0, waitMs: 5 });
    expect([...(server.requests[0]?.query.keys() ?? [])]).to.deep.equal([]);
  });

  it("gives every waiting query a connection of its own", async () => {
    await begin((response, _, count) => {
      if (count > 150) answerJson(response, 1, {});
    });
    const waiting = new AbortController();
    const reads = Array.from({ length: 150 }, () =>
      consul.read({ ...catalog, signal: waiting.signal }).catch((error: unknown) => error),
    );
    await until("all wait", () => server.requests.length === 150);
    expect((await consul.read(catalog)).index).to.equal(1);
    waiting.abort();
    for (const error of await Promise.all(reads)) expect(error).to.include({ code: "aborted" });
    await until("all are gone", () => server.requests.filter((one) => one.gone).length === 150);
  });

  it("takes a 404 for no keys only when it is Consul's", async () => {
    await begin((response) => {
      response.writeHead(404, { "x-consul-index": "7" });
      response.end();
    });
    expect(await consul.read(keys)).to.deep.equal({
      index: 7,
      body: null,
      filtered: false,
      bytes: 0,
    });
    server.script = (response) => {
      response.writeHead(404, { "content-type": "text/html" });
      response.end("<h1>Not Found</h1>");
    };
    expect((await failure(keys)).message).to.equal(
      `${server.url}/v1/kv/sluice/hosts/ answers 404 with text/html without X-Consul-Index: not Consul's API`,
    );
    expect((await failure(catalog)).message).to.equal(
      `${server.url}/v1/catalog/services answers 404: an HTML page, not Consul's API`,
    );
  });

  it("says which permission an ACL token lacks", async () => {
    await begin((response) => {
      response.writeHead(403, { "content-type": "text/plain" });
      response.end("Permission denied");
    });
    expect((await failure(keys)).message).to.equal(
      `${server.url}/v1/kv/sluice/hosts/ answers 403: the ACL token lacks key_prefix "sluice/hosts/" { policy = "read" } (Permission denied)`,
    );
    server.script = (response) => {
      response.writeHead(403);
      response.end(
        `Permission denied: token with AccessorID 'abc' lacks permission 'service:read' on "thumb"`,
      );
    };
    const health = { path: "/health/service/{service}", params: { service: "thumb" }, index: null };
    expect((await failure(health)).message).to.equal(
      `${server.url}/v1/health/service/thumb answers 403: the ACL token lacks service:read on "thumb"`,
    );
    server.script = (response) => {
      response.writeHead(403);
      response.end("rpc error making call: ACL not found");
    };
    expect((await failure(catalog)).message).to.contain("403: Consul does not know the ACL token");
  });

  it("makes one line of every other status", async () => {
    await begin((response) => {
      response.writeHead(500, { "content-type": "text/plain" });
      response.end("No cluster\r\nleader");
    });
    const leaderless = await failure(catalog);
    expect(leaderless).to.include({ code: "status", status: 500 });
    expect(leaderless.message).to.equal(
      `${server.url}/v1/catalog/services answers 500: No cluster leader`,
    );
    server.script = (response) => {
      response.writeHead(429);
      response.end();
    };
    expect((await failure(catalog)).message).to.contain("429: Consul is limiting");
    server.script = (response) => {
      response.writeHead(301, { location: "https://elsewhere.example/ui/" });
      response.end();
    };
    expect((await failure(catalog)).message).to.equal(
      `${server.url}/v1/catalog/services answers 301 to https://elsewhere.example/ui/: not Consul's API`,
    );
  });

  it("refuses a page of HTML, and JSON that is not whole", async () => {
    await begin((response) => {
      response.writeHead(200, { "content-type": "text/html", "x-consul-index": "1" });
      response.end("<html>");
    });
    expect((await failure(keys)).message).to.contain("200 with text/html whose body is not JSON");
    server.script = (response) => {
      response.writeHead(200, { "content-type": "application/json", "x-consul-index": "1" });
      response.end('[{"Key": "sl');
    };
    expect(await failure(keys)).to.include({ code: "bad_answer" });
    server.script = (response) => answerJson(response, "none", {});
    expect((await failure(catalog)).message).to.contain("without X-Consul-Index");
  });

  it("fails at once when an answer breaks off", async () => {
    await begin((response) => {
      response.writeHead(200, { "x-consul-index": "1", "content-length": "100" });
      response.write('[{"Key"', () => response.destroy());
    });
    expect(await failure(keys)).to.include({ code: "unreachable" });
    server.script = (response) => {
      response.writeHead(200, { "x-consul-index": "1" });
      response.write("[", () => response.destroy());
    };
    expect(await failure(keys)).to.include({ code: "unreachable" });
  });

  it("names the address when nobody listens there", async () => {
    await begin((response) => answerJson(response, 1, {}));
    const nobody = createConsul({ url: "http://127.0.0.1:1" }, {});
    const error = await nobody
      .read(catalog)
      .catch((reason: unknown) => describeConsulError(reason));
    expect(error).to.contain("http://127.0.0.1:1/v1/catalog/services: ");
    expect(error).to.contain("ECONNREFUSED");
  });

  it("says of a Consul that hangs that it does not answer, and names it", async () => {
    await begin(() => {});
    const error = await failure({ ...catalog, withinMs: 50 });
    expect(error).to.include({
      code: "timeout",
      message: `Consul at ${server.url} does not answer: no answer to /v1/catalog/services within 50 ms`,
    });
    // A caller's deadline for several reads in a row: the first hangs, the second begins after it.
    const signal = AbortSignal.timeout(50);
    for (let read = 0; read < 2; read += 1)
      expect(await failure({ ...catalog, signal })).to.include({
        code: "timeout",
        message: `Consul at ${server.url} does not answer: no answer to /v1/catalog/services in time`,
      });
    const call = await consul.api.kv.get({ key: "a", timeout: 50 } as never).catch((e) => e);
    expect(describeConsulError(call)).to.match(/^Consul does not answer: .*timed out/);
  });

  it("keeps the port in what it says of a refusal, also of the npm client's calls", async () => {
    await begin((response) => response.writeHead(403).end("Permission denied"));
    const call = await consul.api.kv.get("a").catch((error: unknown) => error);
    expect(describeConsulError(call)).to.contain(`${server.url}/v1/kv/a answers 403`);
    expect((await failure(catalog)).message).to.contain(`${server.url}/v1/catalog/services`);
  });

  it("does not ask when it is taken back before", async () => {
    await begin((response) => answerJson(response, 1, {}));
    expect(await failure({ ...catalog, signal: AbortSignal.abort() })).to.include({
      code: "aborted",
    });
    expect(server.requests).to.have.length(0);
  });

  it("describes what the npm client throws for other calls", async () => {
    await begin((response) => {
      response.writeHead(403, { "content-type": "text/plain" });
      response.end("Permission denied");
    });
    const line = await consul.api.agent.service.list().catch(describeConsulError);
    expect(line).to.contain("/v1/agent/services answers 403: the ACL token lacks agent_prefix");
    expect(line).to.contain("127.0.0.1");
    expect(line).not.to.contain(secret);
  });
});

describe("the client of Consul over TLS", () => {
  it("trusts the named CA, checks the named server and shows its own certificate", async () => {
    const path = (name: string) =>
      join(import.meta.dirname, "..", "fixtures", "tls", `test-only-${name}.pem`);
    const pem = { cert: readFileSync(path("certificate")), key: readFileSync(path("key")) };
    const server = createServer({ ...pem, ca: pem.cert, requestCert: true }, (_, response) =>
      answerJson(response, 3, {}),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const env = {
      CONSUL_HTTP_ADDR: `127.0.0.1:${port}`,
      CONSUL_HTTP_SSL: "true",
      CONSUL_CACERT: path("certificate"),
      CONSUL_CLIENT_CERT: path("certificate"),
      CONSUL_CLIENT_KEY: path("key"),
      CONSUL_TLS_SERVER_NAME: "server.dc1.consul",
    };
    const attempt = async (options: Record<string, string>) => {
      const consul = createConsul({}, options);
      try {
        return (await consul.read(catalog)).index;
      } catch (error) {
        return describeConsulError(error);
      } finally {
        consul.close();
      }
    };
    try {
      expect(await attempt(env)).to.equal(3);
      const { CONSUL_CACERT: _, ...untrusting } = env;
      expect(await attempt(untrusting)).to.contain("self-signed certificate");
      expect(await attempt({ ...untrusting, CONSUL_HTTP_SSL_VERIFY: "false" })).to.equal(3);
      expect(await attempt({ ...env, CONSUL_TLS_SERVER_NAME: "other" })).to.contain("other");
      const { CONSUL_CLIENT_CERT: __, CONSUL_CLIENT_KEY: ___, ...anonymous } = env;
      expect(await attempt(anonymous)).to.contain("/v1/catalog/services: ");
    } finally {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  });
});
