/** Connections and datagrams through whole gateways: listeners of the settings and of Consul, and changes of workers. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { expect } from "chai";
import { Origin, readAll } from "../../gateway/streams/fixtures/rig.ts";
import { TestAuthority } from "../support/certificates.ts";
import { consulKinds } from "../support/consul.ts";
import { TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

/** Says its name, and then what it hears. */
const named = (name: string) => (socket: Socket) => {
  socket.write(`${name} `);
  socket.pipe(socket);
};

/** Sends `text` on a connection of its own; what comes back until the end. */
async function ask(port: number, text: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.end(text);
  return String(await readAll(socket));
}

for (const kind of consulKinds())
  describe(`streams through a gateway with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    async function service(name: string, text = name): Promise<Origin> {
      const origin = await Origin.start(named(text));
      const id = `${name}-${origin.port}`;
      await scene.writes.register({ id, name, port: origin.port });
      scene.later(async () => {
        await scene.writes.deregister(id);
        await origin.stop();
      });
      return origin;
    }
    async function listener(name: string, document: object): Promise<void> {
      await scene.writes.put(`listeners/${name}`, document);
      scene.later(() => scene.writes.remove(`listeners/${name}`).catch(() => {}));
    }
    const answers = (port: number, text: string) =>
      eventually(`port ${port} answers`, async () =>
        expect(await ask(port, "hello")).to.equal(text),
      );
    const isClosed = (port: number) =>
      eventually(`port ${port} is closed`, async () => {
        const outcome = await ask(port, "hello").catch((error) => error.code);
        expect(outcome).to.equal("ECONNREFUSED");
      });
    const warnings = async (gateway: TestGateway) =>
      (await gateway.status()).warnings.map(({ key, warning }) => `${key}: ${warning}`);

    it("go to a service by --tcp, through each change of workers, and are noted and counted", async () => {
      await service("postgres");
      const directory = mkdtempSync(join(tmpdir(), "sluice-streams-"));
      scene.later(() => rmSync(directory, { recursive: true }));
      const log = join(directory, "access.log");
      const flags = ["--tcp", "127.0.0.1:0=postgres", "--access-log", log];
      const gateway = await scene.start({ flags });
      scene.later(() => gateway.stop());
      const port = gateway.internalPort;
      await answers(port, "postgres hello");
      const { listeners } = await gateway.status();
      expect(listeners[1]).to.deep.equal({
        name: "tcp-0",
        protocol: "tcp",
        address: `127.0.0.1:${port}`,
        upstream: "postgres",
        from: "--tcp",
      });
      const held = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
      await once(held, "data");
      gateway.signal("SIGHUP");
      await gateway.statusWhen("new workers listen", ({ workers }) =>
        workers.some(({ id, state }) => id > 2 && state === "listening"),
      );
      held.end("still here");
      expect(String(await readAll(held))).to.equal("still here");
      await answers(port, "postgres hello");
      await eventually("the connections are noted", async () => {
        const lines = readFileSync(log, "utf8").trim().split("\n");
        const records = lines.map((line) => JSON.parse(line));
        const one = records.find(({ msg, bytesIn }) => msg === "connection" && bytesIn === 10);
        expect(one).to.include({ listener: "tcp-0", upstream: "postgres", bytesOut: 19 });
      });
      const series = 'sluice_stream_received_bytes_total{listener="tcp-0",upstream="postgres"}';
      await eventually("the bytes are counted", async () =>
        expect((await gateway.admin("/metrics")).body).to.include(series),
      );
    });

    it("go to what Consul's listeners name, on every gateway, until the key is gone", async () => {
      await service("postgres");
      const port = await freePort();
      const flags = ["--kv-listener-ports", String(port)];
      const gateway = await scene.start({ flags });
      await listener("db", { address: `127.0.0.1:${port}`, protocol: "tcp", upstream: "postgres" });
      await answers(port, "postgres hello");
      expect((await gateway.status()).listeners.at(-1)).to.deep.equal({
        name: "db",
        protocol: "tcp",
        address: `127.0.0.1:${port}`,
        upstream: "postgres",
        from: "sluice/listeners/db",
      });

      // Another worker takes the place of one that dies, with the socket.
      for (const { pid } of (await gateway.status()).workers) {
        process.kill(pid, "SIGKILL");
        await gateway.statusWhen(
          "it is replaced",
          ({ workers }) =>
            workers.every((worker) => worker.pid !== pid && worker.state === "listening") &&
            workers.length === 2,
        );
      }
      await answers(port, "postgres hello");

      // What it says about connections holds from then on, and the port stays open meanwhile.
      await service("redis");
      await listener("db", { address: `127.0.0.1:${port}`, protocol: "tcp", upstream: "redis" });
      await answers(port, "redis hello");

      const held = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
      await once(held, "data");
      await scene.writes.remove("listeners/db");
      await isClosed(port);
      held.end("finished");
      expect(String(await readAll(held))).to.equal("finished");
    });

    it("are cut where they have not ended in time when their listener's key is gone", async () => {
      await service("postgres");
      const port = await freePort();
      await scene.start({
        flags: ["--kv-listener-ports", String(port), "--drain-timeout", "500ms"],
      });
      await listener("db", { address: `127.0.0.1:${port}`, protocol: "tcp", upstream: "postgres" });
      await answers(port, "postgres hello");
      const stubborn = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
      await once(stubborn, "data");
      const cut = readAll(stubborn).then(String, (error) => error.code);
      await scene.writes.remove("listeners/db");
      expect(await cut).to.equal("ECONNRESET");
    });

    it("stay open while another key takes their port over, and while two keys change places", async () => {
      await service("postgres");
      await service("redis");
      const [one, two] = [await freePort(), await freePort()];
      const gateway = await scene.start({ flags: ["--kv-listener-ports", `${one},${two}`] });
      const at = (port: number, upstream: string) => ({
        ...{ address: `127.0.0.1:${port}`, protocol: "tcp", upstream },
      });
      await listener("db", at(one, "postgres"));
      await listener("cache", at(two, "redis"));
      await answers(one, "postgres hello");
      await answers(two, "redis hello");

      const outcomes = new Set<string>();
      let isOver = false;
      const client = (async () => {
        while (!isOver) outcomes.add(await ask(one, "x").catch(({ code }) => String(code)));
      })();
      await listener("database", at(one, "postgres"));
      await eventually("the port has another key", async () =>
        expect((await warnings(gateway)).join()).to.include("listeners/db has"),
      );
      await scene.writes.remove("listeners/db");
      await gateway.statusWhen("it is handed over", ({ listeners }) =>
        listeners.some(({ from }) => from === "sluice/listeners/database"),
      );
      isOver = true;
      await client;
      expect([...outcomes]).to.deep.equal(["postgres x"]);

      await listener("database", at(two, "redis"));
      await listener("cache", at(one, "postgres"));
      await gateway.statusWhen("they have changed places", ({ listeners }) =>
        [
          `sluice/listeners/database 127.0.0.1:${two}`,
          `sluice/listeners/cache 127.0.0.1:${one}`,
        ].every((wanted) => listeners.some(({ from, address }) => `${from} ${address}` === wanted)),
      );
      await answers(one, "postgres hello");
      await answers(two, "redis hello");
    }).timeout(120_000);

    it("tells of a port that is taken or forbidden by its key, and harms nothing else", async () => {
      await service("postgres");
      const [taken, free] = [await Origin.start(() => {}, await freePort()), await freePort()];
      scene.later(() => taken.stop());
      const flags = ["--kv-listener-ports", `${taken.port},${free}`];
      const gateway = await scene.start({ flags });
      const at = (port: number) => ({
        address: `127.0.0.1:${port}`,
        protocol: "tcp",
        upstream: "postgres",
      });
      await listener("taken", at(taken.port));
      await listener("forbidden", at(1));
      await listener("own", at(gateway.httpPort));
      await listener("broken", { address: "nonsense", protocol: "tcp", upstream: "postgres" });
      await listener("good", at(free));
      await answers(free, "postgres hello");
      await eventually("each is told of", async () => {
        const told = (await warnings(gateway)).join("\n");
        expect(told).to.include(
          `sluice/listeners/taken: is not open: 127.0.0.1:${taken.port}: another`,
        );
        expect(told).to.include("sluice/listeners/forbidden: port 1 is not among those");
        expect(told).to.include("sluice/listeners/own: port");
        const { refused } = await gateway.status();
        expect(refused.map(({ key }: { key?: string }) => key)).to.include(
          "sluice/listeners/broken",
        );
      });
      expect((await gateway.request({ host: "home.example" })).status).to.equal(200);
      const { port } = taken;
      await taken.stop();
      await answers(port, "postgres hello");
      await eventually("it is no longer told of", async () =>
        expect((await warnings(gateway)).join()).to.not.include("listeners/taken"),
      );
    });

    it("are opened again by a gateway that starts while Consul is away", async () => {
      await service("postgres");
      const port = await freePort();
      const directory = mkdtempSync(join(tmpdir(), "sluice-streams-"));
      scene.later(() => rmSync(directory, { recursive: true }));
      const flags = ["--kv-listener-ports", String(port), "--data-dir", directory];
      const before = await scene.start({ flags });
      await listener("db", { address: `127.0.0.1:${port}`, protocol: "tcp", upstream: "postgres" });
      await answers(port, "postgres hello");
      await before.statusWhen(
        "the state is written",
        ({ snapshotFile, version }) => snapshotFile?.version === version,
      );
      await before.stop();
      await isClosed(port);
      const away = `http://127.0.0.1:${await freePort()}`;
      const gateway = TestGateway.launch({ consul: away, flags });
      scene.later(() => gateway.stop());
      await answers(port, "postgres hello");
    });

    it("opens none of Consul's listeners without the setting", async () => {
      await service("postgres");
      const port = await freePort();
      const gateway = await scene.start();
      await listener("db", { address: `:${port}`, protocol: "tcp", upstream: "postgres" });
      await eventually("it is told of", async () =>
        expect((await warnings(gateway)).join()).to.include(`port ${port} is not among those`),
      );
      await isClosed(port);
    });

    it("goes by the name in a TLS handshake to what the listener exposes, as by Host", async () => {
      const certificate = new TestAuthority().issue({ names: ["anything"] });
      const [port, flagPort] = [await freePort(), await freePort()];
      for (const [name, tags] of [
        ["asked", ["sluice"]],
        ["plain", []],
      ] as const) {
        const server = createTlsServer(certificate, (socket) => {
          socket.on("error", () => {});
          socket.end(name);
        }).listen(0, "127.0.0.1");
        await once(server, "listening");
        const address = server.address();
        if (address === null || typeof address === "string") throw new Error("no port");
        await scene.writes.register({ id: name, name, port: address.port, tags });
        scene.later(async () => {
          await scene.writes.deregister(name);
          server.close();
        });
      }
      await scene.writes.put("hosts/open.example", { paths: { "/": "plain" } });
      scene.later(() => scene.writes.remove("hosts/open.example"));
      const passthrough = { protocol: "tls-passthrough", address: `127.0.0.1:${flagPort}` };
      const flags = ["--listeners", JSON.stringify([{ ...passthrough, expose: "all" }])];
      await scene.start({ flags: [...flags, "--kv-listener-ports", String(port)] });
      await listener("edge", { ...passthrough, address: `127.0.0.1:${port}` });
      /** What is behind the name: its first words, or the alert. */
      const behind = async (to: number, servername: string) => {
        const socket = connectTls({ port: to, servername, rejectUnauthorized: false });
        try {
          let text = "";
          for await (const chunk of socket) text += chunk;
          return text;
        } catch (error) {
          return error instanceof Error && "code" in error ? String(error.code) : "";
        }
      };
      const unknown = "ERR_SSL_TLSV1_UNRECOGNIZED_NAME";
      for (const [to, name, expected] of [
        [port, "asked.service.consul", "asked"],
        [port, "open.example", "plain"],
        [port, "plain.service.consul", unknown],
        [port, "nobody.example", unknown],
        [flagPort, "plain.service.consul", "plain"],
        [flagPort, "nobody.service.consul", unknown],
      ] as const)
        await eventually(`${name} on ${to} is ${expected}`, async () =>
          expect(await behind(to, name)).to.equal(expected),
        );
    });

    it("carries datagrams there and back, each client's by one worker to one peer", async () => {
      const names = ["one", "two"];
      for (const name of names) {
        const socket = createSocket("udp4");
        const { port } = socket.bindSync({ address: "127.0.0.1", port: 0 });
        socket.on("message", (bytes, from) =>
          socket.send(`${name} ${from.port} ${bytes}`, from.port, from.address),
        );
        await scene.writes.register({ id: `dns-${name}`, name: "dns", port });
        scene.later(async () => {
          await scene.writes.deregister(`dns-${name}`);
          socket.close();
        });
      }
      await eventually("Consul knows both", async () => {
        const answer = await fetch(`${scene.consul.url}/v1/health/service/dns`);
        expect(await answer.json()).to.have.lengthOf(2);
      });
      const [port, second] = [await freePort(), await freePort()];
      const udp = { protocol: "udp", address: `127.0.0.1:${port}`, upstream: "dns" };
      // No session ends before all are counted.
      const list = JSON.stringify([{ ...udp, idleTimeout: "10m" }]);
      const flags = ["--listeners", list, "--kv-listener-ports", String(second)];
      const gateway = await scene.start({ flags });
      await listener("dns", { ...udp, address: `127.0.0.1:${second}`, idle_timeout: 600 });
      const clients = Array.from({ length: 16 }, () => createSocket("udp4"));
      scene.later(() => {
        for (const client of clients) client.close();
      });
      /** Datagrams may be lost while the gateway does not know the service yet. */
      const say = (client: (typeof clients)[number], to: number, text: string) =>
        eventually(`an answer to ${text}`, () => {
          client.send(text, to, "127.0.0.1");
          return new Promise<string>((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error("no answer")), 500);
            client.once("message", (bytes, { port: from }) => {
              clearTimeout(timer);
              if (from !== to) reject(new Error(`the answer is from port ${from}`));
              resolve(String(bytes));
            });
          });
        });
      for (const to of [port, second]) {
        const first = [];
        for (const client of clients) first.push(await say(client, to, "a"));
        for (const [at, client] of clients.entries()) {
          const again = await say(client, to, "b");
          const session = (text: string | undefined) => text?.split(" ").slice(0, 2);
          expect(session(again), "the same peer, from the same port").to.deep.equal(
            session(first[at]),
          );
        }
        for (const name of names) expect(first.join()).to.include(name);
      }
      const { workers } = await gateway.statusWhen(
        "sessions are counted",
        (status) => status.workers.reduce((sum, { streams }) => sum + streams, 0) === 32,
      );
      expect(
        workers.every(({ streams }) => streams > 0),
        "both workers have some",
      ).to.equal(true);
      gateway.signal("SIGHUP");
      await gateway.statusWhen("all workers are new", ({ workers: all }) =>
        all.every(({ id, state }) => id > 2 && state === "listening"),
      );
      for (const client of clients) await say(client, port, "c");
    });
  });
