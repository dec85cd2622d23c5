/** Checks, failures and drains decide where connections and datagrams go, as they do for requests, in every worker. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { expect } from "chai";
import type { UpstreamsAnswer } from "../../gateway/primary/index.ts";
import { readAll } from "../../gateway/streams/fixtures/rig.ts";
import { TestAuthority } from "../support/certificates.ts";
import { startEmbeddedAgent } from "../support/consul.ts";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const protocols = ["tcp", "tls-passthrough", "udp"] as const;
type Protocol = (typeof protocols)[number];

const host = "db.example";
const certificate = new TestAuthority().issue({ names: [host] });

interface NamedServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** A server that tells each client its name. */
async function startServer(protocol: Protocol, name: string, port = 0): Promise<NamedServer> {
  if (protocol === "udp") {
    const socket = createSocket("udp4");
    const bound = socket.bindSync({ address: "127.0.0.1", port });
    socket.on("message", (_bytes, from) => socket.send(name, from.port, from.address));
    const stop = () => new Promise<void>((resolve) => socket.close(() => resolve()));
    return { port: bound.port, stop };
  }
  const server: Server =
    protocol === "tcp"
      ? createServer((socket) => socket.on("error", () => {}).end(name))
      : createTlsServer(certificate, (socket) => socket.on("error", () => {}).end(name));
  server.on("tlsClientError", () => {});
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const stop = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return { port: address.port, stop };
}

/** The name of the peer that a client of its own comes to. */
async function ask(protocol: Protocol, port: number): Promise<string> {
  if (protocol === "tcp") return String(await readAll(connect(port, "127.0.0.1")));
  if (protocol === "tls-passthrough") {
    const options = { port, servername: host, rejectUnauthorized: false };
    return String(await readAll(connectTls(options)));
  }
  const socket = createSocket("udp4");
  try {
    // Datagrams may be lost, and the one is that finds out that nobody listens.
    return await eventually("an answer", () => {
      socket.send("?", port, "127.0.0.1");
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      setTimeout(() => reject(new Error("no answer")), 500);
      socket.once("message", (bytes) => resolve(String(bytes)));
      return promise;
    });
  } finally {
    socket.close();
  }
}

describe("the health of peers of streams", function () {
  this.timeout(600_000);
  let scene: Scene;
  const ports = new Map<Protocol, number>();

  before(async () => {
    scene = await Scene.open({ name: "embedded agent", start: startEmbeddedAgent });
    for (const protocol of protocols) ports.set(protocol, await freePort());
    const listeners = protocols.map((protocol) => ({
      ...{ protocol, address: `127.0.0.1:${ports.get(protocol)}` },
      ...(protocol === "tls-passthrough" ? {} : { upstream: protocol }),
    }));
    await scene.writes.put(`hosts/${host}`, { paths: { "/": "tls-passthrough" } });
    await scene.start({ flags: ["--listeners", JSON.stringify(listeners), "--admin-open"] });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  async function server(protocol: Protocol, name: string, port = 0): Promise<NamedServer> {
    const started = await startServer(protocol, name, port);
    scene.later(() => started.stop().catch(() => {}));
    return started;
  }

  /** Waits until each peer is in these states, one for each worker. */
  const whenStates = (name: string, expected: Readonly<Record<number, string>>) =>
    eventually(`the peers of ${name} are ${JSON.stringify(expected)}`, async () => {
      const { body } = await scene.gateway.admin(`/upstreams?name=${name}`);
      const { upstreams } = JSON.parse(body) as UpstreamsAnswer;
      const states = (upstreams[0]?.peers ?? []).map(({ address, workers }) => [
        Number(address.split(":")[1]),
        workers.map(({ state }) => state).join(),
      ]);
      expect(Object.fromEntries(states)).to.deep.equal(expected);
    });

  for (const protocol of protocols) {
    const at = () => ports.get(protocol) ?? 0;
    const write = (servers: readonly object[], more: object = {}) =>
      scene.writes.put(`upstreams/${protocol}`, {
        servers: servers.map((one) => ({ host: "127.0.0.1", ...one })),
        ...more,
      });
    const [well, out] = ["ok,ok", "err,err"];
    const askSome = async () => {
      const seen = [];
      for (let time = 0; time < 8; time += 1) seen.push(await ask(protocol, at()));
      return new Set(seen);
    };

    it(`is checked and heeded: ${protocol}`, async () => {
      const one = await server(protocol, "one");
      // On a port that nobody else takes while it is away.
      const two = await server(protocol, "two", await freePort());
      const type = protocol === "udp" ? "udp" : "general";
      const check = { type, interval: 0.1, timeout: 5, fall: 2, rise: 2 };
      await write([{ port: one.port }, { port: two.port }], { check });
      await whenStates(protocol, { [one.port]: well, [two.port]: well });
      await eventually("both are used", async () =>
        expect(await askSome()).to.deep.equal(new Set(["one", "two"])),
      );
      await two.stop();
      await whenStates(protocol, { [one.port]: well, [two.port]: out });
      expect(await askSome()).to.deep.equal(new Set(["one"]));
      await eventually("the status says why", async () => {
        const { health } = await scene.gateway.status();
        const found = health.peers.find(({ address }) => address === `127.0.0.1:${two.port}`);
        expect(found?.reasons[0]?.message).to.equal(
          protocol === "udp" ? "nobody listens on its port" : "it refuses connections",
        );
      });
      await server(protocol, "two", two.port);
      await whenStates(protocol, { [one.port]: well, [two.port]: well });
      await eventually("both are used again", async () =>
        expect(await askSome()).to.deep.equal(new Set(["one", "two"])),
      );
    });

    it(`is learnt from failures, by every worker: ${protocol}`, async () => {
      const one = await server(protocol, "one");
      const dead = await freePort();
      const failing = { fail_timeout: 3_600, max_fails: 1 };
      await write([
        { port: one.port, ...failing },
        { port: dead, ...failing },
      ]);
      await whenStates(protocol, { [one.port]: well, [dead]: well });
      // No client notices: it is tried with another peer, or is told nothing and asks again.
      expect(await askSome()).to.deep.equal(new Set(["one"]));
      await whenStates(protocol, { [one.port]: well, [dead]: out });
    });

    it(`is what an operator says: ${protocol}`, async () => {
      const [one, two] = [await server(protocol, "one"), await server(protocol, "two")];
      await write([{ port: one.port }, { port: two.port }]);
      await whenStates(protocol, { [one.port]: well, [two.port]: well });
      const url = `http://127.0.0.1:${scene.gateway.adminPort}/upstream/${protocol}/peer/127.0.0.1:${one.port}`;
      await fetch(`${url}/drain?wait=60`, { method: "POST" });
      expect(await askSome()).to.deep.equal(new Set(["two"]));
      await fetch(`${url}/enable?wait=60`, { method: "POST" });
    });
  }
});
