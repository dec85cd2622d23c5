import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TestAuthority } from "../../test/support/certificates.ts";
import { until } from "../../test/support/conditions.ts";
import { Rig, readAll } from "./fixtures/rig.ts";

const passthrough = { protocol: "tls-passthrough", upstream: null } as const;

describe("TLS passthrough", () => {
  let server: Server;
  let port: number;
  let streams: Rig;

  before(async () => {
    const certificate = new TestAuthority().issue({ names: ["shop.example"] });
    const options = { ...certificate, ALPNProtocols: ["x", "h2"] };
    server = createServer(options, (socket) => {
      socket.on("error", () => {});
      socket.write(`${socket.alpnProtocol} `);
      socket.pipe(socket);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });
  after(() => server?.close());
  afterEach(() => streams.stop());

  async function start(limits = {}): Promise<void> {
    streams = new Rig([port], {
      terms: passthrough,
      limits,
      route: (name, upstream) =>
        name === "shop.example" ? { upstream } : { why: `no such host: ${name}` },
    });
    await streams.listen();
  }
  function client(servername: string): TLSSocket {
    const options = { socket: streams.client(), ALPNProtocols: ["h2"], rejectUnauthorized: false };
    return connect({ ...options, ...(servername === "" ? {} : { servername }) });
  }
  const ended = (count = 1) => until(`${count} records`, () => streams.records.length >= count);

  it("goes where the name says, and the handshake is the peer's own", async () => {
    await start();
    const socket = client("SHOP.example");
    await once(socket, "secureConnect");
    expect(socket.getPeerX509Certificate()?.subject).to.equal("CN=shop.example");
    socket.end("hello");
    let got = "";
    for await (const chunk of socket) got += chunk;
    expect(got).to.equal("h2 hello");
    await ended();
    expect(streams.records[0]).to.include({ name: "shop.example", upstream: "db", failure: "" });
  });

  it("ends with an alert for a name that nothing has, and for no name", async () => {
    await start();
    for (const name of ["other.example", ""]) {
      const [error] = await once(client(name), "error");
      expect(error.code).to.equal("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    }
    await ended(2);
    for (const record of streams.records)
      expect(record).to.include({ failure: "no_route", tries: 0, upstream: "" });
  });

  it("tells a client that speaks no TLS nothing, and one that breaks it so much", async () => {
    await start();
    const plain = streams.client();
    plain.end("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    expect(await readAll(plain).then(String, (error) => error.code)).to.equal("ECONNRESET");
    const broken = streams.client();
    broken.end(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]));
    expect(await readAll(broken)).to.deep.equal(Buffer.from([21, 3, 3, 0, 2, 2, 50]));
    await ended(2);
    for (const { failure } of streams.records) expect(failure).to.equal("bad_hello");
  });

  it("gives a client that does not say its name so much time", async () => {
    await start({ greetingTimeoutMs: 300 });
    const slow = connectPlain(streams.port, "127.0.0.1");
    slow.on("error", () => {});
    slow.write(Buffer.from([22, 3, 1, 1, 0, 1, 0, 0, 200]));
    const drip = setInterval(() => slow.write(Buffer.from([0])), 150);
    await ended();
    clearInterval(drip);
    slow.destroy();
    expect(streams.records[0]?.failure).to.equal("greeting_timeout");
    const silent = streams.client();
    await once(silent, "close").catch(() => {});
    await ended(2);
    expect(streams.records[1]?.failure).to.equal("greeting_timeout");
  });
});
