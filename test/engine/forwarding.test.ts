/** Who is in front of the gateway: what handlers and origins read of it, and who may say it. */
import { expect } from "chai";
import { forwardingKinds } from "../../gateway/engine/message/fields.ts";
import { describeEngines } from "../support/engines.ts";
import { fieldsOf, ok, requestBytes, type TestExchange } from "../support/http.ts";

const stranger = "127.0.0.9";
/** Written by one proxy at 127.0.0.3 behind another at 127.0.0.2; both are trusted. */
const chain = "6.6.6.6, 192.0.2.9, 127.0.0.3";

/** Every field of the family, with what a client would say to be taken for another. */
const forged: readonly string[] = [
  "X-Forwarded-For: 6.6.6.6",
  "x-forwarded-for: 7.7.7.7",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: evil.example",
  "X-Forwarded-Port: 443",
  "X-Forwarded-Prefix: /evil",
  "X-Forwarded-Server: evil",
  "X-Forwarded-Ssl: on",
  "X-Forwarded-Scheme: https",
  "X-Forwarded-Protocol: ssl",
  "X-Forwarded-Uri: /admin",
  "X-Forwarded-Method: DELETE",
  "X-Forwarded-Client-Cert: Subject=root",
  "Client-Cert: root",
  "Client-Cert-Chain: root",
  "X-Client-Cert: root",
  "X-Client-Cert-Subject: CN=root",
  "X-Client-Cert-Fingerprint: 00",
  "X-Forwarded-Tls-Client-Cert-Info: root",
  "X-Forwarded-Anything: 1",
  "X-Forwarded: for=6.6.6.6",
  "Forwarded: for=6.6.6.6;proto=https;host=evil.example",
  "Forwarded-For: 6.6.6.6",
  "X-Real-IP: 6.6.6.6",
  "X-Client-IP: 6.6.6.6",
  "Client-IP: 6.6.6.6",
  "X-Cluster-Client-IP: 6.6.6.6",
  "True-Client-IP: 6.6.6.6",
  "CF-Connecting-IP: 6.6.6.6",
  "Fastly-Client-IP: 6.6.6.6",
  "X-Original-Forwarded-For: 6.6.6.6",
  "X-Original-For: 6.6.6.6",
  "X-Original-Proto: https",
  "X-Original-Host: evil.example",
  "X-Scheme: https",
  "X-Url-Scheme: https",
  "Front-End-Https: on",
  "CF-Connecting-IPv6: 2001:db8::6",
  "CF-Pseudo-IPv4: 6.6.6.6",
  "CloudFront-Viewer-Address: 6.6.6.6:80",
  "CloudFront-Forwarded-Proto: https",
  "Fly-Client-IP: 6.6.6.6",
  "Proxy-Client-IP: 6.6.6.6",
  "WL-Proxy-Client-IP: 6.6.6.6",
  "WL-Proxy-SSL: true",
  "X-Appengine-Remote-Addr: 6.6.6.6",
  "X-Appengine-User-IP: 6.6.6.6",
  "X-Azure-ClientIP: 6.6.6.6",
  "X-Azure-SocketIP: 6.6.6.6",
  "X-Envoy-External-Address: 6.6.6.6",
  "X-Originating-IP: 6.6.6.6",
  "X-ProxyUser-IP: 6.6.6.6",
  "X-Remote-Addr: 6.6.6.6",
  "X-Remote-IP: 6.6.6.6",
  "X-Envoy-Original-Path: /admin",
  "X-Host: evil.example",
  "X-HTTP-Host-Override: evil.example",
  "X-Original-Method: DELETE",
  "X-Original-URI: /admin",
  "X-Original-URL: /admin",
  "X-Rewrite-URL: /admin",
  "Proxy: http://evil.example",
];
const forgedNames = forged.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());

describeEngines("forwarding fields", (bench) => {
  async function sent(
    lines: readonly string[],
    options: {
      readonly from?: string;
      readonly onRequest?: (exchange: TestExchange) => void;
    } = {},
  ) {
    const origin = await bench.origin(ok());
    const seen = { raw: "", address: "", scheme: "", proxy: "" };
    const gateway = await bench.gateway(origin, {
      trusts: (address) => address === "127.0.0.2" || address === "127.0.0.3",
      hooks: {
        onRequest(exchange) {
          // Names are in lower case over HTTP/2.
          seen.raw = exchange.rawHeaders.toLowerCase();
          seen.address = exchange.clientAddress;
          seen.scheme = exchange.scheme;
          seen.proxy = exchange.proxyAddress;
          options.onRequest?.(exchange);
        },
      },
    });
    const client = await bench.client(gateway, { from: options.from ?? stranger });
    const answer = await client.request(requestBytes("GET /", lines));
    expect(answer.status).to.equal(200);
    const { request } = origin;
    const told = Object.fromEntries(
      request.headers
        .filter(([name]) => forgedNames.includes(name.toLowerCase()))
        .map(([name, value]) => [name.toLowerCase(), value]),
    );
    return { seen, told, request };
  }

  const socketsOwn = {
    "x-forwarded-for": stranger,
    "x-forwarded-proto": "http",
    "x-forwarded-host": "shop.example",
  };

  it("are all tried here", () => {
    expect(forgedNames).to.include.members([...forwardingKinds.keys()]);
  });

  it("of a stranger reach nobody: the origin is told what the socket says, and nothing else", async () => {
    const { told, request } = await sent([...forged, "X-Kept: 1"]);
    expect(told).to.deep.equal(socketsOwn);
    expect(fieldsOf(request, "X-Forwarded-For")).to.deep.equal([stranger]);
    expect(fieldsOf(request, "X-Kept")).to.deep.equal(["1"]);
  });

  for (const line of forged) {
    it(`of a stranger are not to be seen by the handler: ${line}`, async () => {
      const name = line.slice(0, line.indexOf(":"));
      let value: string | undefined = "unread";
      const lines = ["X-A: 1", line, "X-B: 2", line, line, "X-C: 3"];
      const { seen, told, request } = await sent(lines, {
        onRequest(exchange) {
          value = exchange.header(name);
        },
      });
      expect(value).to.equal(undefined);
      expect(seen.raw).to.equal("host: shop.example\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3");
      expect(seen).to.include({ address: stranger, scheme: "http", proxy: "" });
      expect(told).to.deep.equal(socketsOwn);
      const kept = request.headers.filter(([one]) => /^x-[abc]$/i.test(one)).length;
      expect(kept).to.equal(3);
    });
  }

  it("of a trusted proxy are the handler's to read, and the client is whom they name", async () => {
    const said = [`X-Forwarded-For: ${chain}`, "X-Forwarded-Proto: https"];
    let value: string | undefined;
    const { seen, told } = await sent([...said, "X-Forwarded-Host: outer.example"], {
      from: "127.0.0.2",
      onRequest(exchange) {
        value = exchange.header("x-forwarded-for");
      },
    });
    expect(value).to.equal(chain);
    expect(seen).to.include({ address: "192.0.2.9", scheme: "https", proxy: "127.0.0.2" });
    expect(told).to.deep.equal({
      "x-forwarded-for": `${chain}, 127.0.0.2`,
      "x-forwarded-proto": "https",
      "x-forwarded-host": "outer.example",
    });
  });

  it("of a trusted proxy may come over several lines", async () => {
    const lines = ["X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 192.0.2.9 , 127.0.0.3"];
    const { seen } = await sent(lines, { from: "127.0.0.2" });
    expect(seen.address).to.equal("192.0.2.9");
  });

  it("in the form of Forwarded are told on as X-Forwarded-*, and in no other form", async () => {
    const { seen, told } = await sent(
      ["Forwarded: for=6.6.6.6", 'Forwarded: for="192.0.2.9:80";proto=https;host="o.example"'],
      { from: "127.0.0.2" },
    );
    expect(seen).to.include({ address: "192.0.2.9", scheme: "https" });
    expect(seen.raw).to.equal("host: shop.example");
    expect(told).to.deep.equal({
      "x-forwarded-for": "192.0.2.9, 127.0.0.2",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "o.example",
    });
  });

  it("of a trusted proxy that says nothing name the proxy", async () => {
    const { seen, told } = await sent([], { from: "127.0.0.2" });
    expect(seen).to.include({ address: "127.0.0.2", scheme: "http", proxy: "127.0.0.2" });
    expect(told).to.include({ "x-forwarded-for": "127.0.0.2" });
  });

  it("that tell the same story as a trusted proxy's own are kept, and others dropped", async () => {
    const own = [`X-Forwarded-For: ${chain}`, "X-Forwarded-Proto: https"];
    const same = [
      "X-Real-IP: 192.0.2.9",
      "CF-Connecting-IP: 192.0.2.9",
      "X-Forwarded-Ssl: on",
      "X-Forwarded-Scheme: https",
      "X-Forwarded-Port: 8443",
      "X-Forwarded-Prefix: /api",
      "X-Forwarded-Server: outer",
    ];
    const others = [
      "X-Real-IP: 6.6.6.6",
      "True-Client-IP: 6.6.6.6",
      "Client-IP: unknown",
      "X-Scheme: http",
      "Front-End-Https: off",
      "X-Url-Scheme: gopher",
      "X-Forwarded-Port: 99999",
      "X-Original-Forwarded-For: 6.6.6.6",
      "Forwarded: for=6.6.6.6",
    ];
    // Mixed, so that lines go from between those that stay.
    const mixed = [...others.slice(0, 4), ...same, "X-Kept: 1", ...own, ...others.slice(4)];
    const { seen, told, request } = await sent(mixed, { from: "127.0.0.2" });
    expect(told).to.deep.equal({
      "x-real-ip": "192.0.2.9",
      "cf-connecting-ip": "192.0.2.9",
      "x-forwarded-ssl": "on",
      "x-forwarded-scheme": "https",
      "x-forwarded-port": "8443",
      "x-forwarded-prefix": "/api",
      "x-forwarded-server": "outer",
      "x-forwarded-for": `${chain}, 127.0.0.2`,
      "x-forwarded-proto": "https",
      "x-forwarded-host": "shop.example",
    });
    for (const line of [...same, ...own, "X-Kept: 1"]) {
      expect(fieldsOf(request, line.split(":")[0] ?? ""), line).to.have.length(1);
      expect(seen.raw).to.contain(line.toLowerCase());
    }
    for (const line of others) expect(seen.raw).to.not.contain(line.toLowerCase());
  });

  it("stand though Connection names them", async () => {
    const names = [...forgedNames, "x-kept"].join(", ");
    const lines = [`Connection: ${names}`, "X-Kept: 1"];
    const own = ["X-Forwarded-For: 192.0.2.9", "X-Real-IP: 192.0.2.9", "X-Forwarded-Port: 80"];
    const { told, request } = await sent([...lines, ...own], { from: "127.0.0.2" });
    expect(told).to.deep.equal({
      "x-forwarded-for": "192.0.2.9, 127.0.0.2",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "shop.example",
      "x-real-ip": "192.0.2.9",
      "x-forwarded-port": "80",
    });
    expect(fieldsOf(request, "X-Kept")).to.deep.equal([]);
    expect((await sent([...lines, ...forged])).told).to.deep.equal(socketsOwn);
  });

  it("may be removed by the handler, whoever sent them: then the origin is not told", async () => {
    const own = [`X-Forwarded-For: ${chain}`, "X-Real-IP: 192.0.2.9"];
    for (const from of [stranger, "127.0.0.2"]) {
      let value: string | undefined = "unread";
      const { told } = await sent(own, {
        from,
        onRequest(exchange) {
          for (const name of ["X-Forwarded-FOR", "x-forwarded-host", "X-Real-IP", "forwarded"])
            exchange.removeHeader(name);
          value = exchange.header("x-forwarded-for");
        },
      });
      expect(told).to.deep.equal({ "x-forwarded-proto": "http" });
      expect(value).to.equal(undefined);
    }
  });

  it("that the gateway writes cannot be forged by the handler, others are its own word", async () => {
    const thrown: unknown[] = [];
    const { told } = await sent([], {
      onRequest(exchange) {
        for (const name of ["X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST"]) {
          try {
            exchange.setHeader(name, "1.2.3.4");
          } catch (error) {
            thrown.push(error);
          }
        }
        exchange.setHeader("X-Real-IP", exchange.clientAddress);
      },
    });
    expect(thrown).to.have.length(3);
    for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
    expect(told).to.deep.equal({ ...socketsOwn, "x-real-ip": stranger });
  });

  it("are each request's own on a connection that a proxy keeps", async () => {
    const origin = await bench.origin(ok());
    const addresses: string[] = [];
    const gateway = await bench.gateway(origin, {
      trusts: () => true,
      hooks: {
        onEnd(exchange) {
          addresses.push(`${exchange.scheme} ${exchange.clientAddress}`);
        },
      },
    });
    const client = await bench.client(gateway);
    await client.request(requestBytes("GET /", ["X-Forwarded-For: 192.0.2.1"]));
    await client.request(requestBytes("GET /", ["X-Forwarded-Proto: https"]));
    await client.request(requestBytes("GET /", ["Forwarded: for=192.0.2.3"]));
    await gateway.outcomeOf(2);
    expect(addresses).to.deep.equal(["http 192.0.2.1", "https 127.0.0.1", "http 192.0.2.3"]);
  });
});
