/** Connections over TLS through change: tickets that any worker resumes, certificates that are replaced, proxies in front. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TestAuthority } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { shakeHands } from "../support/https.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");
const authority = new TestAuthority();
const ca = authority.cert;

describe("connections over TLS", function () {
  this.timeout(600_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open(embedded);
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  const write = async () => {
    const { cert, key } = authority.issue({ names: [homeHost] });
    await scene.writes.put("certificates/home", { chain: cert, key });
    return new X509Certificate(cert).fingerprint256;
  };
  const listener = (more: object) => [
    "--listeners",
    JSON.stringify([{ address: "127.0.0.1:0", protocol: "https", ...more }]),
  ];

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const)
    it(`are resumed by every worker with ${maxVersion}`, async () => {
      await write();
      const gateway = await scene.start({ workers: 3, flags: ["--https", "127.0.0.1:0"] });
      const port = gateway.portAt(1);
      await eventually("it is served", () => shakeHands({ port, ca, servername: homeHost }));
      await gateway.caughtUp();
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
      const first = connect({ host: "127.0.0.1", port, ca, servername: homeHost, maxVersion });
      first.once("session", resolve);
      first.once("error", reject);
      const session = await promise;
      first.destroy();
      // Connections that stay open come to all workers in turn.
      const open: TLSSocket[] = [];
      scene.later(() => {
        for (const socket of open) socket.destroy();
      });
      const served = async () =>
        (await gateway.status()).workers.filter(({ connections }) => connections > 0).length;
      await eventually("each worker has one", async () => {
        for (let more = 0; more < 10; more += 1) {
          const socket = connect({
            host: "127.0.0.1",
            port,
            servername: homeHost,
            ca,
            session,
            maxVersion,
          });
          open.push(socket);
          await once(socket, "secureConnect");
          expect(socket.isSessionReused()).to.equal(true);
        }
        expect(await served()).to.equal(3);
      });
    });

  it("offer TLS 1.2 and 1.3 by default, and 1.3 alone with the modern profile", async () => {
    await write();
    const gateway = await scene.start({
      flags: ["--https", "127.0.0.1:0", ...listener({ tls: { profile: "modern" } })],
    });
    const versions = (port: number) =>
      Promise.all(
        (["TLSv1.1", "TLSv1.2", "TLSv1.3"] as const).map((version) =>
          shakeHands({
            ...{ port, ca, servername: homeHost, ciphers: "DEFAULT@SECLEVEL=0" },
            ...{ minVersion: version, maxVersion: version },
          }).then(
            () => version,
            () => "refused",
          ),
        ),
      );
    const [intermediate, modern] = [gateway.portAt(1), gateway.portAt(2)];
    await eventually("it is served", () => shakeHands({ port: modern, ca, servername: homeHost }));
    await gateway.caughtUp();
    expect(await versions(intermediate)).to.deep.equal(["refused", "TLSv1.2", "TLSv1.3"]);
    expect(await versions(modern)).to.deep.equal(["refused", "refused", "TLSv1.3"]);
  });

  it("fail for nobody while the certificate is replaced again and again", async () => {
    await write();
    const gateway = await scene.start({ flags: ["--https", "127.0.0.1:0"] });
    const port = gateway.portAt(1);
    await eventually("it is served", () => shakeHands({ port, ca, servername: homeHost }));
    await gateway.caughtUp();
    const seen = new Set<string>();
    let isOver = false;
    scene.later(() => {
      isOver = true;
    });
    let failures = 0;
    const clients = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        try {
          seen.add((await shakeHands({ port, ca, servername: homeHost })).fingerprint);
        } catch {
          failures += 1;
        }
      }
    });
    for (let time = 0; time < 15; time += 1) {
      const fingerprint = await write();
      await until("the new certificate is served", () => seen.has(fingerprint));
    }
    isOver = true;
    await Promise.all(clients);
    expect(failures).to.equal(0);
    expect(seen.size).to.be.at.least(15);
  });

  describe("behind a proxy that speaks the PROXY protocol", () => {
    const v2 = Buffer.concat([
      Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "latin1"),
      Buffer.from([192, 0, 2, 9, 127, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb]),
    ]);
    const v1 = Buffer.from("PROXY TCP4 192.0.2.8 127.0.0.1 4660 443\r\n");

    const ask = async (port: number, header: Buffer, isTls: boolean) => {
      const below = connectTcp({ host: "127.0.0.1", port });
      below.on("error", () => {});
      await once(below, "connect");
      below.write(header);
      const socket = isTls ? connect({ socket: below, ca, servername: homeHost }) : below;
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
      });
      socket.write(`GET / HTTP/1.1\r\nHost: ${homeHost}\r\nConnection: close\r\n\r\n`);
      await new Promise<void>((closed) => void socket.once("close", () => closed()));
      return /"x-forwarded-for":"([^"]*)"/.exec(text)?.[1] ?? text.slice(0, 12);
    };

    for (const protocol of ["http", "https"] as const)
      it(`${protocol}: believes named senders alone, and nobody's garbage`, async () => {
        await write();
        const proxied = { protocol, proxyProtocol: ["127.0.0.1"] };
        const others = { protocol, proxyProtocol: ["192.0.2.1"] };
        const gateway = await scene.start({
          flags: [
            "--listeners",
            JSON.stringify([proxied, others].map((one) => ({ address: "127.0.0.1:0", ...one }))),
          ],
        });
        const isTls = protocol === "https";
        const [named, unnamed] = [gateway.portAt(1), gateway.portAt(2)];
        await eventually("it is served", async () =>
          expect(await ask(named, v1, isTls)).to.equal("192.0.2.8"),
        );
        expect(await ask(named, v2, isTls)).to.equal("192.0.2.9");
        expect(await ask(unnamed, Buffer.alloc(0), isTls)).to.equal("127.0.0.1");
        expect(await ask(unnamed, v1, isTls)).to.be.oneOf(["", "HTTP/1.1 400"]);
        expect(await ask(named, Buffer.alloc(0), isTls)).to.equal(isTls ? "" : "HTTP/1.1 400");
        for (const garbage of [
          "PROXY TCP4 1.2.3.4",
          `PROXY ${"x".repeat(200)}`,
          "\r\n\r\n\0\r\nQUIT\n\x31",
        ])
          expect(await ask(named, Buffer.from(garbage, "latin1"), isTls), garbage).to.equal("");
        await eventually("they are counted", async () => {
          const metrics = (await gateway.admin("/metrics")).body;
          for (const code of ["bad", "missing", "unexpected"])
            expect(metrics).to.match(
              new RegExp(`sluice_refused_heads_total\\{code="${code}_proxy_header"\\} [1-9]`),
            );
        });
        for (const code of ["bad", "missing", "unexpected"].map((what) => `${what}_proxy_header`))
          await eventually(`${code} is a warning that names the sender`, async () => {
            const record = gateway.records.find((one) => one.code === code);
            expect(record).to.include({ level: 40, sender: "127.0.0.1" });
            expect(record?.msg).to.include("proxyProtocol");
          });
      });
  });

  it("are bounded for each listener, and for each client of one", async () => {
    await write();
    const gateway = await scene.start({
      workers: 1,
      flags: listener({ limits: { maxConnections: 3, maxConnectionsPerAddress: 2 } }),
    });
    const port = gateway.portAt(1);
    await eventually("it is served", () => shakeHands({ port, ca, servername: homeHost }));
    await gateway.caughtUp();
    // The connection from before may still count, and then two of the three are too many.
    await eventually("one of three is too many", async () => {
      const sockets = Array.from({ length: 3 }, () => connectTcp({ host: "127.0.0.1", port }));
      const close = () => sockets.forEach((socket) => void socket.destroy());
      scene.later(close);
      const ends = sockets.map((socket) => {
        socket.on("error", () => {});
        return once(socket, "close").then(() => socket);
      });
      const ended = await Promise.race(ends);
      const others = sockets.filter((socket) => socket.destroyed && socket !== ended).length;
      if (others > 0) close();
      expect(others).to.equal(0);
    });
    expect((await gateway.request({ host: homeHost })).status).to.equal(200);
  });
});
