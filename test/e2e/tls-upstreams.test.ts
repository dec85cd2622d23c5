/** Peers that are reached over TLS: whom the gateway believes, what it shows them, and how it goes on with a session. */
import { once } from "node:events";
import { createServer as createClearServer } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TestAuthority } from "../support/certificates.ts";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");
const authority = new TestAuthority();
const strangers = new TestAuthority("Strangers");
const server = authority.issue({ names: ["inner.example"] });
const client = authority.issue({ names: ["gateway.example"] });

interface Seen {
  readonly subject: string;
  readonly name: string;
  readonly isResumed: boolean;
  readonly version: string;
}

/** A peer that tells of the connection; it closes each, so that the next request makes another. */
async function startPeer(seen: Seen[], isHttp2: boolean): Promise<Server> {
  const options = {
    ...{ cert: server.cert, key: server.key, ca: authority.cert },
    ...{ requestCert: true, rejectUnauthorized: false },
  };
  const peer = isHttp2
    ? createSecureServer({ ...options, allowHTTP1: false })
    : createServer(options);
  peer.on("request", (request, response) => {
    const socket = (request.stream?.session?.socket ?? request.socket) as TLSSocket;
    seen.push({
      subject: socket.authorized ? (socket.getPeerX509Certificate()?.subject ?? "") : "",
      name: String(socket.servername),
      isResumed: socket.isSessionReused(),
      version: request.httpVersion,
    });
    if (!isHttp2) response.setHeader("connection", "close");
    response.end("inner");
  });
  peer.listen(0, "127.0.0.1");
  await once(peer, "listening");
  return peer as Server;
}

describe("peers over TLS", function () {
  this.timeout(600_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open(embedded);
    await scene.writes.put("certificates/inner-ca", { authorities: authority.cert });
    await scene.writes.put("certificates/strangers", { authorities: strangers.cert });
    await scene.writes.put("certificates/gateway", { chain: client.cert, key: client.key });
    await scene.writes.put("hosts/inner.test", { paths: { "/": "inner" } });
    await scene.start({ workers: 1 });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  const peerFor = async (document: object, isHttp2 = false) => {
    const seen: Seen[] = [];
    const peer = await startPeer(seen, isHttp2);
    scene.later(() => peer.close());
    const { port } = peer.address() as AddressInfo;
    await scene.writes.put("upstreams/inner", {
      servers: [{ host: "127.0.0.1", port, max_fails: 0 }],
      ...document,
    });
    await scene.gateway.caughtUp();
    return { seen, ask: () => scene.gateway.request({ host: "inner.test" }) };
  };
  const believed = { server_name: "inner.example", ca: "inner-ca" };

  it("are believed by their authority and name, told who asks, and resumed", async () => {
    const { seen, ask } = await peerFor({ tls: { ...believed, client_certificate: "gateway" } });
    await eventually("the peer answers", async () => expect((await ask()).body).to.equal("inner"));
    expect(seen[0]).to.deep.include({ subject: "CN=gateway.example", name: "inner.example" });
    await eventually("a session is resumed", async () => {
      await ask();
      expect(seen.at(-1)?.isResumed).to.equal(true);
    });
  });

  it("speak HTTP/2 where the upstream says h2", async () => {
    const { seen, ask } = await peerFor({ protocol: "h2", tls: believed }, true);
    await eventually("the peer answers", async () => expect((await ask()).body).to.equal("inner"));
    expect(seen.at(-1)?.version).to.equal("2.0");
  });

  it("are checked as they are reached, with what Consul has by now", async () => {
    const check = { type: "http", interval: 0.1, timeout: 20, fall: 1, rise: 1 };
    scene.later(() => scene.writes.remove("certificates/later-ca"));
    await scene.writes.put("certificates/later-ca", { authorities: strangers.cert });
    const tls = { ...believed, ca: "later-ca", client_certificate: "gateway" };
    const { seen } = await peerFor({ tls, check });
    const failures = async () => {
      const { peers } = (await scene.gateway.status()).health;
      const reasons = peers.flatMap((peer) => peer.reasons);
      return reasons.filter(({ code }) => code === "check_failed").map(({ message }) => message);
    };
    await eventually("the peer is not believed", async () =>
      expect((await failures())[0]).to.match(/^the TLS handshake with .* failed: /),
    );
    expect(seen).to.deep.equal([]);
    await scene.writes.put("certificates/later-ca", { authorities: authority.cert });
    await eventually("the peer is believed", async () => {
      expect(seen.at(-1)).to.deep.include({ subject: "CN=gateway.example", name: "inner.example" });
      expect(await failures()).to.deep.equal([]);
    });
  });

  it("are told apart in the log and in their reason from those that speak clear text", async () => {
    const origin = createClearServer((_request, response) => response.end("clear"));
    origin.listen(0, "127.0.0.1");
    await once(origin, "listening");
    scene.later(() => origin.close());
    const { port } = origin.address() as AddressInfo;
    const servers = [{ host: "127.0.0.1", port }];
    await scene.writes.put("upstreams/inner", { servers, tls: believed });
    const said = `the TLS handshake with 127.0.0.1:${port} failed: `;
    const record = await eventually("the handshake has failed, and the log says so", async () => {
      const { body } = await scene.gateway.request({ host: "inner.test" });
      expect(body).to.match(
        /^502 tls_failed: the TLS handshake with the peer of inner\.test failed/,
      );
      const found = scene.gateway.records.find(({ msg }) => msg.startsWith(said));
      if (found === undefined) throw new Error("it is not");
      return found;
    });
    expect(record).to.include({ level: 40, upstream: "inner", peer: `127.0.0.1:${port}` });
    expect(record.msg).to.match(/may speak clear text \(see the upstream's `tls`\)$/);
    await eventually("it is the peer's reason", async () =>
      expect((await scene.gateway.admin("/upstreams")).body).to.include(said),
    );
  });

  it("are cut off and named when their records carry next to nothing", async () => {
    const peer = createTlsServer(server, (socket) => {
      socket.on("error", () => {});
      socket.setNoDelay(true);
      const flood = (error?: Error | null) => {
        if (!error) socket.write("x", flood);
      };
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", flood);
      });
    });
    peer.listen(0, "127.0.0.1");
    await once(peer, "listening");
    scene.later(() => peer.close());
    const { port } = peer.address() as AddressInfo;
    await scene.writes.put("upstreams/inner", {
      servers: [{ host: "127.0.0.1", port, max_fails: 0 }],
      tls: believed,
    });
    // Until the workers have the document, the peer before answers.
    await eventually("no half an answer is taken for a whole one", async () => {
      const outcome = await scene.gateway.request({ host: "inner.test" }).catch(({ code }) => code);
      expect(outcome).to.equal("ECONNRESET");
    });
    await eventually("the log names it", async () => {
      const said = scene.gateway.records.map((record) => JSON.stringify(record)).join("\n");
      expect(said).to.include(`127.0.0.1:${port} floods its connection with TLS records`);
    });
    expect((await scene.gateway.request({ host: "home.example" })).status).to.equal(200);
  });

  for (const [what, tls, isBelieved] of [
    ["with a certificate of nobody known", true, false],
    ["with another authority's certificate", { ...believed, ca: "strangers" }, false],
    ["with a certificate for another name", { ...believed, server_name: "outer.example" }, false],
    ["whose authorities are nowhere", { ...believed, ca: "missing" }, false],
    ["that anybody may be, said so", { insecure: true }, true],
  ] as const) {
    it(`${isBelieved ? "answer" : "are refused"} ${what}`, async () => {
      const { seen, ask } = await peerFor({ tls });
      await eventually("the gateway has decided", async () =>
        expect((await ask()).status).to.equal(isBelieved ? 200 : 502),
      );
      if (!isBelieved) expect(seen).to.deep.equal([]);
      if (typeof tls === "object" && "ca" in tls && tls.ca === "missing") {
        await scene.gateway.statusWhen("it is a warning", ({ warnings }) =>
          warnings.some(({ warning }) => warning.includes("there is no certificate missing")),
        );
      }
    });
  }
});
