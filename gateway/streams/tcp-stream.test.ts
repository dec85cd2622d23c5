import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { freePort } from "../../test/support/ports.ts";
import { silentPort } from "../../test/support/unreachable.ts";
import { defaultStreamTerms, noListenerLimits } from "../model/index.ts";
import { Origin, oneAtATime, Rig, type RigOptions, readAll } from "./fixtures/rig.ts";

const sha = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const echo = (socket: Socket) => void socket.pipe(socket);
const name = (text: string) => (socket: Socket) => void socket.end(text);

/** The code of the error that ends the socket; `null` when it ends without one. */
function ending(socket: Socket): Promise<string | null> {
  return new Promise((resolve) => {
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    socket.once("close", () => resolve(null));
  });
}

describe("streams over TCP", () => {
  const toStop: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of toStop.splice(0).reverse()) await one.stop();
  });

  async function origin(serve: (socket: Socket) => void): Promise<Origin> {
    const started = await Origin.start(serve);
    toStop.push(started);
    return started;
  }
  async function rig(ports: readonly number[], options: RigOptions = {}, at = 0): Promise<Rig> {
    const made = new Rig(ports, options);
    toStop.push(made);
    await made.listen(at);
    return made;
  }
  const records = (of: Rig, count: number) =>
    until(`${count} records`, () => of.records.length >= count);

  it("carries bytes both ways unchanged, in large amounts at once, and counts them", async () => {
    const { port } = await origin(echo);
    const streams = await rig([port]);
    const sent = randomBytes(12_000_000);
    const got = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = streams.client();
        client.end(sent);
        return readAll(client);
      }),
    );
    for (const bytes of got) expect(sha(bytes)).to.equal(sha(sent));
    await records(streams, 4);
    const [record] = streams.records;
    expect(record).to.include({
      listener: "db",
      protocol: "tcp",
      upstream: "db",
      failure: "",
      tries: 1,
      bytesIn: sent.length,
      bytesOut: sent.length,
    });
    expect(record?.peer?.port).to.equal(port);
  });

  it("passes on that one side has ended, and lets the other one go on", async () => {
    const { port } = await origin((socket) => {
      let heard = "";
      socket.on("data", (chunk) => {
        heard += chunk;
      });
      socket.on("end", () => socket.end(`heard ${heard}`));
    });
    const streams = await rig([port]);
    const client = streams.client();
    client.end("hello");
    expect(String(await readAll(client))).to.equal("heard hello");
    await records(streams, 1);
    expect(streams.records[0]?.failure).to.equal("");
  });

  it("passes it on also when the client ended before it had a peer, with and without a word", async () => {
    const { port } = await origin((socket) => {
      socket.resume();
      socket.on("end", () => socket.end("bye"));
    });
    for (const options of [{}, { terms: { proxyProtocol: ["127.0.0.1"] } }]) {
      const streams = await rig([port], options);
      const client = streams.client();
      client.end("terms" in options ? "PROXY UNKNOWN\r\n" : "");
      expect(String(await readAll(client))).to.equal("bye");
    }
  });

  it("lets a client speak on when its peer has ended", async () => {
    let heard = "";
    const { port } = await origin((socket) => {
      socket.end("bye");
      socket.on("data", (chunk) => {
        heard += chunk;
      });
    });
    const streams = await rig([port]);
    const client = streams.client();
    expect(String(await readAll(client))).to.equal("bye");
    client.write("still ");
    await until("the peer hears it", () => heard === "still ");
    client.end("here");
    await records(streams, 1);
    expect([heard, streams.records[0]?.failure]).to.deep.equal(["still here", ""]);
  });

  it("slows down a peer whose client does not read, and loses nothing", async () => {
    const sent = randomBytes(40_000_000);
    const { port, sockets } = await origin((socket) => void socket.end(sent));
    const streams = await rig([port]);
    const client = streams.client();
    client.pause();
    await until("the peer waits", () => (sockets[0]?.writableLength ?? 0) > 0);
    const isHeld = () => (streams.tallies.get("db db")?.bytesOut ?? 0) < sent.length / 2;
    expect(isHeld()).to.equal(true);
    expect(sha(await readAll(client))).to.equal(sha(sent));
  });

  it("slows down a client whose peer does not read, and loses nothing", async () => {
    const sent = randomBytes(40_000_000);
    const { port, sockets } = await origin((socket) => void socket.pause());
    const streams = await rig([port]);
    const client = streams.client();
    client.end(sent);
    await until("the client waits", () => sockets.length === 1 && client.writableLength > 0);
    const [socket] = sockets;
    if (socket === undefined) throw new Error("no connection");
    expect(sha(await readAll(socket))).to.equal(sha(sent));
    socket.end();
    await records(streams, 1);
    expect(streams.records[0]).to.include({ failure: "", bytesIn: sent.length });
  });

  it("goes to another peer when one refuses, and leaves that one alone afterwards", async () => {
    const dead = await freePort();
    const { port } = await origin(name("here"));
    const streams = await rig([dead, port]);
    for (let round = 0; round < 6; round += 1) {
      const client = streams.client();
      expect(String(await readAll(client))).to.equal("here");
      client.end();
    }
    await records(streams, 6);
    expect(streams.failures).to.deep.equal([`${dead} connect_failed`]);
    expect(streams.records.map(({ tries }) => tries)).to.deep.equal([2, 1, 1, 1, 1, 1]);
  });

  it("gives a peer that does not answer so much time, and goes to another one", async () => {
    const silent = await silentPort({
      later: (close) => toStop.push({ stop: async () => close() }),
    });
    const { port } = await origin(name("here"));
    const streams = await rig([silent, port], { limits: { connectTimeoutMs: 300 } });
    for (let round = 0; round < 3; round += 1)
      expect(String(await readAll(streams.client()))).to.equal("here");
    expect(streams.failures).to.deep.equal([`${silent} connect_timeout`]);
  });

  it("resets the client when no peer can be reached, and says why", async () => {
    const dead = await Promise.all([freePort(), freePort()]);
    const streams = await rig(dead);
    const client = streams.client();
    const outcome = await readAll(client).then(String, (error) => error.code);
    expect(outcome).to.equal("ECONNRESET");
    await records(streams, 1);
    expect(streams.records[0]).to.include({ failure: "connect_failed", tries: 2 });
  });

  it("resets the client when its peer dies in the middle, and the peer when its client does", async () => {
    const { port, sockets } = await origin((socket) => void socket.write("part"));
    const streams = await rig([port]);
    const first = streams.client();
    const [chunk] = await once(first, "data");
    expect(String(chunk)).to.equal("part");
    const outcome = ending(first);
    sockets[0]?.resetAndDestroy();
    expect(await outcome).to.equal("ECONNRESET");
    const second = streams.client();
    await once(second, "data");
    const socket = sockets[1];
    if (socket === undefined) throw new Error("no connection");
    const failed = ending(socket);
    second.resetAndDestroy();
    expect(await failed).to.equal("ECONNRESET");
    await records(streams, 2);
    expect(streams.records.map(({ failure }) => failure)).to.deep.equal([
      "peer_reset",
      "client_reset",
    ]);
    expect(streams.failures, "a peer is not blamed for what a client may provoke").to.deep.equal(
      [],
    );
  });

  it("leaves the client what a peer said in full before it broke off", async () => {
    const { port, sockets } = await origin((socket) => void socket.end("all there is"));
    const streams = await rig([port]);
    const client = streams.client();
    await once(client, "connect");
    await until("all of it was passed on", () => client.readableLength > 0);
    sockets[0]?.resetAndDestroy();
    for (let word = 1; word <= 20; word += 1) {
      const sent = (streams.tallies.get("db db")?.bytesIn ?? 0) + 4;
      client.write("more");
      await until("it was taken", () => (streams.tallies.get("db db")?.bytesIn ?? 0) >= sent);
    }
    client.end();
    expect(String(await readAll(client))).to.equal("all there is");
    await records(streams, 1);
    expect(streams.records[0]?.failure).to.equal("peer_reset");
  });

  it("keeps a client at its peer with the policy hash", async () => {
    const origins = await Promise.all(["a", "b", "c", "d"].map((text) => origin(name(text))));
    const ports = origins.map(({ port }) => port);
    const streams = await rig(ports, { policy: "hash" });
    const answers = new Set<string>();
    for (let round = 0; round < 8; round += 1) {
      const client = streams.client();
      answers.add(String(await readAll(client)));
      client.end();
    }
    expect(answers.size).to.equal(1);
  });

  it("ends a connection on which nothing passes, and one that lasts too long", async () => {
    const { port } = await origin(echo);
    const idle = { ...defaultStreamTerms, idleTimeoutMs: 200 };
    const quiet = await rig([port], { terms: { stream: idle } });
    const client = quiet.client();
    expect(await readAll(client).then(String, (error) => error.code)).to.equal("ECONNRESET");
    expect(quiet.records[0]?.failure).to.equal("idle_timeout");

    const long = { ...defaultStreamTerms, idleTimeoutMs: 60_000, maxDurationMs: 300 };
    const limited = await rig([port], { terms: { stream: long } });
    const busy = limited.client();
    const talk = setInterval(() => busy.write("x"), 20);
    busy.resume();
    expect(await ending(busy)).to.equal("ECONNRESET");
    clearInterval(talk);
    expect(limited.records[0]?.failure).to.equal("time_limit");
  });

  it("turns away what is beyond its limits, and takes more when there is room again", async () => {
    const { port } = await origin(echo);
    const limits = { ...noListenerLimits, maxConnections: 2 };
    const few = await rig([port], { terms: { limits } });
    const speak = async (of: Rig) => {
      const client = of.client();
      client.write("x");
      const outcome = await once(client, "data").then(String, (error) => error.code);
      return { client, outcome };
    };
    const first = await speak(few);
    const second = await speak(few);
    const third = await speak(few);
    expect([first, second, third].map(({ outcome }) => outcome)).to.deep.equal([
      "x",
      "x",
      "ECONNRESET",
    ]);
    expect(few.records[0]?.failure).to.equal("too_many_connections");
    first.client.end();
    await records(few, 2);
    expect((await speak(few)).outcome).to.equal("x");

    for (const [limit, failure] of [
      ["maxConnectionsPerAddress", "too_many_from_address"],
      ["maxConnectionsPerUpstream", "too_many_to_upstream"],
    ] as const) {
      const one = await rig([port], { terms: { limits: { ...noListenerLimits, [limit]: 1 } } });
      expect((await speak(one)).outcome).to.equal("x");
      expect((await speak(one)).outcome).to.equal("ECONNRESET");
      expect(one.records[0]?.failure).to.equal(failure);
    }
    const gate = oneAtATime();
    const bounded = [await rig([port], { gate }), await rig([port], { gate })] as const;
    const holder = await speak(bounded[0]);
    expect(holder.outcome).to.equal("x");
    expect((await speak(bounded[1])).outcome).to.equal("ECONNRESET");
    expect(bounded[1].records[0]?.failure).to.equal("too_many_to_upstream");
    holder.client.end();
    await records(bounded[0], 1);
    expect((await speak(bounded[1])).outcome).to.equal("x");
    const worker = await rig([port], { limits: { maxConnections: 1 } });
    expect((await speak(worker)).outcome).to.equal("x");
    expect((await speak(worker)).outcome).to.equal("ECONNRESET");
    expect(worker.records[0]?.failure).to.equal("too_many_connections");
  });

  it("waits for the first word about a service, for so long", async () => {
    const { port } = await origin(echo);
    let isKnown = false;
    const streams = await rig([port], {
      limits: { watchTimeoutMs: 60_000 },
      route: (_name, upstream) => (isKnown ? { upstream } : { awaited: "postgres" }),
    });
    const client = streams.client();
    client.write("early");
    await until("it asks", () => streams.asked.length > 0);
    isKnown = true;
    streams.engine.arrived(["other", "postgres"]);
    const [chunk] = await once(client, "data");
    expect([String(chunk), streams.asked]).to.deep.equal(["early", ["postgres"]]);

    const never = await rig([port], {
      limits: { watchTimeoutMs: 200 },
      route: () => ({ awaited: "postgres" }),
    });
    never.client();
    await records(never, 1);
    expect(never.records[0]?.failure).to.equal("service_unknown_yet");
  });

  it("connects to no place that no peer may be at", async () => {
    const { port, sockets } = await origin(echo);
    const streams = await rig([port], { forbids: () => "Consul's API" });
    streams.client().write("DELETE everything");
    await records(streams, 1);
    expect(streams.records[0]?.failure).to.equal("connect_failed");
    expect(sockets.map(({ bytesRead }) => bytesRead).every((bytes) => bytes === 0)).to.equal(true);
  });

  it("drains: lets what runs finish until the deadline, and cuts the rest", async () => {
    const { port } = await origin(echo);
    const streams = await rig([port], {}, await freePort());
    const [patient, stubborn] = [streams.client(), streams.client()];
    for (const client of [patient, stubborn]) {
      client.write("x");
      await once(client, "data");
    }
    const drained = streams.engine.drain(4_000);
    const refused = streams.client();
    expect(await ending(refused)).to.equal("ECONNREFUSED");
    patient.end("more");
    expect(String(await readAll(patient))).to.equal("more");
    expect(await drained).to.equal(1);
    expect(streams.records.map(({ failure }) => failure)).to.deep.equal(["", "drained"]);
  });

  it("carries 10,000 quick connections and forgets each of them", async function () {
    this.timeout(240_000);
    const { port } = await origin(echo);
    const streams = await rig([port]);
    let left = 10_000;
    const one = async () => {
      while (left > 0) {
        left -= 1;
        const client = streams.client();
        client.end("ping");
        expect(String(await readAll(client))).to.equal("ping");
      }
    };
    await Promise.all(Array.from({ length: 50 }, one));
    await until("each is over", () => streams.engine.size === 0);
    expect(streams.records.length).to.equal(10_000);
    expect(streams.records.every(({ failure }) => failure === "")).to.equal(true);
  });

  it("tells peers whose connection it is, in either version of the PROXY protocol", async () => {
    const { port } = await origin(echo);
    for (const version of ["v1", "v2"] as const) {
      const stream = { ...defaultStreamTerms, sendProxyProtocol: version };
      const streams = await rig([port], { terms: { stream } });
      const client = streams.client();
      await once(client, "connect");
      const [from, to] = [client.localPort ?? 0, streams.port];
      client.end("hello");
      const got = await readAll(client);
      const expected =
        version === "v1"
          ? Buffer.from(`PROXY TCP4 127.0.0.1 127.0.0.1 ${from} ${to}\r\nhello`)
          : Buffer.concat([
              Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01", "latin1"),
              Buffer.from([from >> 8, from & 255, to >> 8, to & 255]),
              Buffer.from("hello"),
            ]);
      expect(got.toString("latin1")).to.equal(expected.toString("latin1"));
      await records(streams, 1);
      expect(streams.records[0]?.bytesIn, "the header is not the client's").to.equal(5);
    }
  });

  it("is counted for the client that a named sender speaks for, and not for the sender", async () => {
    const { port } = await origin(echo);
    const limits = { ...noListenerLimits, maxConnectionsPerAddress: 1 };
    const streams = await rig([port], { terms: { limits, proxyProtocol: ["127.0.0.0/8"] } });
    const lineOf = (address: string) => `PROXY TCP4 ${address} 192.0.2.1 5555 443\r\n`;
    // They all come from one address, and are open at the same time.
    const clients = ["192.0.2.7", "192.0.2.8", "192.0.2.9"].map((address) => ({
      address,
      client: streams.client(),
    }));
    await until("all are open", () => streams.engine.size === 3);
    for (const { address, client } of clients) {
      client.write(`${lineOf(address)}x`);
      expect(String((await once(client, "data"))[0])).to.equal("x");
    }
    const second = streams.client();
    second.write(`${lineOf("192.0.2.7")}x`);
    await records(streams, 1);
    expect(streams.records[0]).to.include({
      failure: "too_many_from_address",
      clientAddress: "192.0.2.7",
    });
    clients[0]?.client.end();
    await records(streams, 2);
    const third = streams.client();
    third.end(`${lineOf("192.0.2.7")}x`);
    expect(String(await readAll(third))).to.equal("x");
  });

  it("believes named senders about their clients, and nobody else", async () => {
    const { port } = await origin(echo);
    const line = "PROXY TCP4 192.0.2.7 192.0.2.1 5555 443\r\n";
    const believing = await rig([port], { terms: { proxyProtocol: ["127.0.0.0/8"] } });
    const client = believing.client();
    client.end(`${line}hello`);
    expect(String(await readAll(client))).to.equal("hello");
    await records(believing, 1);
    expect(believing.records[0]).to.include({
      clientAddress: "192.0.2.7",
      clientPort: 5555,
      proxyAddress: "127.0.0.1",
    });
    const silent = believing.client();
    silent.end("hello without a header");
    await records(believing, 2);
    expect(believing.records[1]?.failure).to.equal("bad_proxy_header");

    const doubting = await rig([port], { terms: { proxyProtocol: ["10.0.0.0/8"] } });
    const other = doubting.client();
    other.end(`${line}hello`);
    expect(String(await readAll(other))).to.equal(`${line}hello`);
  });
});
