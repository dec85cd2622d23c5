import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { freePort } from "../../test/support/ports.ts";
import type { Upstream } from "../balancing/index.ts";
import { defaultDatagramTerms, noListenerLimits } from "../model/index.ts";
import { oneAtATime, plainTerms, Rig, type RigOptions, upstreamOf } from "./fixtures/rig.ts";

describe("streams of datagrams", () => {
  const toStop: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  function open(): Socket {
    const socket = createSocket("udp4");
    // Tests do not look at errors from datagrams to closed ports.
    socket.on("error", () => {});
    toStop.push(() => socket.close());
    return socket;
  }
  /** Answers each datagram with the origin's name and what it got. */
  function origin(name: string): number {
    const socket = open();
    const { port } = socket.bindSync({ address: "127.0.0.1", port: 0 });
    socket.on("message", (bytes, from) =>
      socket.send(Buffer.concat([Buffer.from(name), bytes]), from.port, from.address),
    );
    return port;
  }
  async function rig(ports: readonly number[], options: RigOptions = {}): Promise<Rig> {
    const terms = { protocol: "udp", stream: defaultDatagramTerms, ...options.terms } as const;
    const streams = new Rig(ports, { ...options, terms });
    await streams.receive();
    toStop.push(() => streams.stop());
    return streams;
  }
  async function ask(client: Socket, port: number, text: string): Promise<string> {
    const answer = once(client, "message");
    client.send(text, port, "127.0.0.1");
    const [bytes, from] = await answer;
    expect(from.port, "the answer comes from where the question went").to.equal(port);
    return String(bytes);
  }

  /** Each session was looked at; after a pause of this process one sweep leaves it out. */
  async function sweeps({ engine }: Rig): Promise<void> {
    for (let sweep = 0; sweep < 3; sweep += 1) {
      const before = engine.clock.current;
      await until("there was a sweep", () => engine.clock.current > before);
    }
  }

  it("go to one peer for each client and come back, empty ones and large ones too", async () => {
    const ports = [origin("a"), origin("b")];
    const streams = await rig(ports);
    const [first, second] = [open(), open()];
    const name = await ask(first, streams.port, "");
    const other = await ask(second, streams.port, "");
    expect([name, other].sort()).to.deep.equal(["a", "b"]);
    const large = "x".repeat(60_000);
    for (const [client, text] of [
      [first, name],
      [second, other],
    ] as const)
      expect(await ask(client, streams.port, large)).to.equal(text + large);
    expect(streams.engine.size).to.equal(2);
    expect(streams.tallies.get("db db")).to.include({ bytesIn: 60_000, bytesOut: 60_002 });
  });

  it("from port 0 reach the peer, whose answer goes nowhere, and others are served on", async () => {
    const terms = { protocol: "udp", stream: defaultDatagramTerms } as const;
    const streams = new Rig([origin("a")], { terms });
    const socket = await streams.receive();
    toStop.push(() => streams.stop());
    // Only a raw socket can send from there, so the test hands the datagram to the listener itself.
    const from = { address: "127.0.0.1", family: "IPv4", port: 0, size: 1 };
    socket.emit("message", Buffer.from("1"), from);
    await until("the peer has answered", () => streams.tallies.get("db db")?.bytesOut === 2);
    expect(await ask(open(), streams.port, "2")).to.equal("a2");
  });

  it("end as a session when nothing passes, with one record", async () => {
    const stream = { ...defaultDatagramTerms, idleTimeoutMs: 3_000 };
    const streams = await rig([origin("a")], { terms: { protocol: "udp", stream } });
    const client = open();
    await ask(client, streams.port, "1");
    await ask(client, streams.port, "2");
    await until("the session is over", () => streams.engine.size === 0);
    expect(streams.records).to.have.lengthOf(1);
    expect(streams.records[0]).to.include({
      protocol: "udp",
      failure: "",
      bytesIn: 2,
      bytesOut: 4,
      clientAddress: "127.0.0.1",
    });
    expect(await ask(client, streams.port, "3"), "the next one begins another").to.equal("a3");
  });

  it("go elsewhere once their peer is no longer one, whose last answers still come", async () => {
    const mute = open();
    const { port: left } = mute.bindSync({ address: "127.0.0.1", port: 0 });
    let current: Upstream | null = null;
    const streams = await rig([left], {
      route: (_name, first) => ({ upstream: current ?? first }),
    });
    const client = open();
    client.send("question", streams.port, "127.0.0.1");
    const [, session] = await once(mute, "message");
    current = upstreamOf([origin("b")]);
    await sweeps(streams);
    const answer = once(client, "message");
    mute.send("last answer", session.port, session.address);
    expect(String((await answer)[0])).to.equal("last answer");
    // Each of these would keep a session alive.
    expect(await ask(client, streams.port, "x")).to.equal("bx");
    expect(streams.records.map(({ failure, peer }) => [failure, peer?.port])).to.deep.equal([
      ["", left],
    ]);
    expect(streams.engine.size).to.equal(1);
  });

  it("stay with a peer that has left while there is no other", async () => {
    let current: Upstream | null = null;
    const streams = await rig([origin("a")], {
      route: (_name, first) => ({ upstream: current ?? first }),
    });
    const client = open();
    await ask(client, streams.port, "x");
    current = upstreamOf([]);
    await sweeps(streams);
    expect(await ask(client, streams.port, "y")).to.equal("ay");
    expect(streams.records).to.have.lengthOf(0);
  });

  it("leave a peer alone on whose port nobody listens", async () => {
    const dead = await freePort();
    const streams = await rig([dead, origin("b")]);
    const client = open();
    client.send("lost", streams.port, "127.0.0.1");
    await until("it is seen", () => streams.failures.length > 0);
    expect(streams.failures).to.deep.equal([`${dead} connect_failed`]);
    for (let round = 0; round < 4; round += 1)
      expect(await ask(open(), streams.port, "x")).to.equal("bx");
    expect(await ask(client, streams.port, "again")).to.equal("bagain");
  });

  it("are dropped beyond the limits, and counted one by one", async () => {
    const limits = { ...noListenerLimits, maxConnections: 2 };
    const streams = await rig([origin("a")], { terms: { protocol: "udp", limits } });
    await ask(open(), streams.port, "x");
    const known = open();
    await ask(known, streams.port, "x");
    const late = open();
    for (let sent = 1; sent <= 3; sent += 1) {
      late.send("x", streams.port, "127.0.0.1");
      await until("it is dropped", () => streams.dropped.length === sent);
    }
    expect(streams.dropped[0]).to.equal("too_many_connections");
    expect(await ask(known, streams.port, "y")).to.equal("ay");
    expect([streams.engine.size, streams.records.length]).to.deep.equal([2, 0]);

    for (const [limit, code] of [
      ["maxConnectionsPerAddress", "too_many_from_address"],
      ["maxConnectionsPerUpstream", "too_many_to_upstream"],
    ] as const) {
      const one = await rig([origin("a")], {
        terms: { protocol: "udp", limits: { ...noListenerLimits, [limit]: 1 } },
      });
      await ask(open(), one.port, "x");
      open().send("x", one.port, "127.0.0.1");
      await until("it is dropped", () => one.dropped.length === 1);
      expect(one.dropped[0]).to.equal(code);
    }
  });

  it("are dropped where their upstream has as much as it may", async () => {
    const one = await rig([origin("a")], { gate: oneAtATime() });
    await ask(open(), one.port, "x");
    open().send("x", one.port, "127.0.0.1");
    await until("it is dropped", () => one.dropped.length === 1);
    expect(one.dropped[0]).to.equal("too_many_to_upstream");
  });

  it("begin sessions with a quarter of the descriptors, and leave the others to connections", async () => {
    const streams = await rig([origin("a")], { mostDescriptors: 16 });
    const known = open();
    await ask(known, streams.port, "x");
    for (let more = 1; more < 4; more += 1) await ask(open(), streams.port, "x");
    open().send("x", streams.port, "127.0.0.1");
    await until("it is dropped", () => streams.dropped.length === 1);
    expect(streams.dropped[0]).to.equal("too_many_connections");
    expect(streams.engine.size).to.equal(4);
    expect(await ask(known, streams.port, "y")).to.equal("ay");
  });

  it("have sessions beside the connections there may be, and keep none of those out", async () => {
    const streams = await rig([origin("a")], { limits: { maxConnections: 2 } });
    for (let one = 0; one < 2; one += 1) await ask(open(), streams.port, "x");
    open().send("x", streams.port, "127.0.0.1");
    await until("it is dropped", () => streams.dropped.length === 1);
    expect(streams.dropped[0]).to.equal("too_many_connections");

    const full = await rig([origin("a")], { limits: { maxConnections: 1 } });
    await ask(open(), full.port, "x");
    full.port = (await full.engine.listen({ host: "127.0.0.1", port: 0 }, 1, plainTerms)).port;
    full.client();
    await until("the connection was admitted", () => full.records.length === 1);
    expect(full.records[0]?.failure, "nobody listens there for TCP").to.equal("connect_failed");
  });

  it("wait for a peer's address in bounded number and memory, whatever the senders are", async () => {
    const terms = { protocol: "udp", stream: defaultDatagramTerms } as const;
    const streams = new Rig([origin("a")], { terms, host: "name-that-is-looked-up.invalid" });
    const socket = await streams.receive();
    toStop.push(() => streams.stop());
    // The test hands the datagrams to the listener itself, so that no look-up ends in between.
    const send = (port: number, bytes: number) =>
      socket.emit("message", Buffer.alloc(bytes), { address: "127.0.0.1", port });
    for (let sent = 0; sent < 20; sent += 1) send(1_001, 60_000);
    expect(streams.dropped, "of one sender").to.have.lengthOf(4);
    for (let sent = 0; sent < 5; sent += 1) send(1_002, 60_000);
    expect(streams.dropped, "of all senders").to.have.lengthOf(8);
    for (let port = 1_003; port < 1_103; port += 1) send(port, 1);
    expect(streams.engine.size).to.equal(16);
    expect(new Set(streams.dropped)).to.deep.equal(new Set(["too_many_waiting"]));
    await until("the look-ups have failed", () => streams.engine.size === 0);
  });

  it("are dropped while the network takes less than comes in, and do not fill the memory", async () => {
    const terms = { protocol: "udp", stream: defaultDatagramTerms } as const;
    const streams = new Rig([origin("a")], { terms });
    const socket = await streams.receive();
    toStop.push(() => streams.stop());
    const client = open();
    await ask(client, streams.port, "1");
    // Only a network that is slower than this machine makes such a queue, so the test says that there is one.
    let unsent = 1_048_576;
    socket.getSendQueueSize = () => unsent;
    client.send("2", streams.port, "127.0.0.1");
    await until("the answer is dropped", () => streams.dropped.length === 1);
    expect(streams.dropped).to.deep.equal(["too_many_waiting"]);
    unsent = 1_048_575;
    expect(await ask(client, streams.port, "3")).to.equal("a3");
  });

  it("get answers of so many times their bytes, and no more", async () => {
    const verbose = open();
    const { port } = verbose.bindSync({ address: "127.0.0.1", port: 0 });
    verbose.on("message", (_bytes, from) => {
      for (const text of ["y".repeat(300), "z".repeat(100)])
        verbose.send(text, from.port, from.address);
    });
    const stream = { ...defaultDatagramTerms, maxAmplification: 3 };
    const streams = await rig([port], { terms: { protocol: "udp", stream } });
    const client = open();
    expect(await ask(client, streams.port, "x".repeat(100))).to.equal("y".repeat(300));
    await until("the second is dropped", () => streams.dropped.length === 1);
    expect(streams.dropped).to.deep.equal(["amplification"]);
    expect(streams.tallies.get("db db")).to.include({ bytesIn: 100, bytesOut: 300 });
    expect(await ask(client, streams.port, "x".repeat(150))).to.equal("y".repeat(300));
  });

  it("are dropped where nothing is known yet, which is asked for at once and then now and then", async () => {
    const streams = await rig([], { route: () => ({ awaited: "dns" }) });
    expect(streams.asked).to.deep.equal(["dns"]);
    const client = open();
    for (let sent = 1; sent <= 5; sent += 1) {
      client.send("x", streams.port, "127.0.0.1");
      await until("it is dropped", () => streams.dropped.length === sent);
    }
    expect(streams.asked).to.deep.equal(["dns", "dns"]);
  });

  it("go to no place that no peer may be at", async () => {
    const streams = await rig([origin("a")], { forbids: () => "Consul's API" });
    open().send("x", streams.port, "127.0.0.1");
    await until("the session is over", () => streams.records.length === 1);
    expect(streams.records[0]).to.include({ failure: "connect_failed", bytesOut: 0 });
  });

  it("are no longer taken while their engine drains, and its peers' last answers still go out", async () => {
    const slow = open();
    const { port } = slow.bindSync({ address: "127.0.0.1", port: 0 });
    const streams = await rig([port]);
    const client = open();
    client.send("question", streams.port, "127.0.0.1");
    const [, from] = await once(slow, "message");
    const drained = streams.engine.drain(30_000);
    const answer = once(client, "message");
    slow.send("late answer", from.port, from.address);
    expect(String((await answer)[0])).to.equal("late answer");
    expect(await drained).to.equal(0);
    expect(streams.records[0]?.failure).to.equal("");
  });

  it("are cut at the end of a drain, where they go on until then", async () => {
    const streams = await rig([origin("a")]);
    const client = open();
    await ask(client, streams.port, "x");
    const talker = open();
    const { port } = talker.bindSync({ address: "127.0.0.1", port: 0 });
    const chatty = await rig([port]);
    // Answers may be so many times as long, and these are short.
    client.send(Buffer.alloc(1_000), chatty.port, "127.0.0.1");
    const [, from] = await once(talker, "message");
    // The peer is never quiet, so that the session does not end by itself.
    const talk = setInterval(() => talker.send("m", from.port, from.address), 20);
    toStop.push(() => clearInterval(talk));
    expect(await chatty.engine.drain(3_000)).to.equal(1);
    expect(chatty.records[0]?.failure).to.equal("drained");
    expect(await streams.engine.drain(60_000), "one that is quiet is over sooner").to.equal(0);
    expect(streams.records[0]?.failure).to.equal("");
  });
});
