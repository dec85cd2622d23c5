import { once } from "node:events";
import { connect as connectPlain, createServer } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";
import { expect } from "chai";
import { ClientHelloReader, type HelloOutcome } from "./client-hello.ts";

/** The first bytes that Node's own TLS sends. */
async function realHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const accepted = once(server, "connection");
  const client = connect({ ...options, socket: connectPlain(port, "127.0.0.1") });
  client.on("error", () => {});
  const [socket] = await accepted;
  const [hello] = await once(socket, "data");
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

function read(bytes: Buffer, size: number): HelloOutcome | null {
  const reader = new ClientHelloReader();
  for (let at = 0; at < bytes.length; at += size) {
    const outcome = reader.take(bytes.subarray(at, at + size));
    if (outcome !== null) return outcome;
  }
  return null;
}

/** The same handshake in records of `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 5; at < hello.length; at += size) {
    const part = hello.subarray(at, at + size);
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(parts);
}

/** The same hello with further bytes among its extensions. */
function extended(hello: Buffer, more: readonly number[]): Buffer {
  const bytes = Buffer.concat([hello, Buffer.from(more)]);
  const grow = (at: number) => bytes.writeUInt16BE(bytes.readUInt16BE(at) + more.length, at);
  grow(3);
  grow(7);
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes.readUInt8(at);
  at += 2 + bytes.readUInt16BE(at);
  at += 1 + bytes.readUInt8(at);
  grow(at);
  return bytes;
}

describe("ClientHello", () => {
  let hello: Buffer;
  before(async () => {
    hello = await realHello({ servername: "Shop.Example", ALPNProtocols: ["h2", "http/1.1"] });
  });

  it("has the name, however it is cut into packets and records", () => {
    const whole = { name: "shop.example", protocols: ["h2", "http/1.1"], tickets: [] };
    for (const size of [1, 2, 5, 6, 100, 10_000]) expect(read(hello, size)).to.deep.equal(whole);
    for (const record of [1, 3, 50, 500])
      for (const size of [1, 7, 10_000])
        expect(read(inRecords(hello, record), size), `${record} ${size}`).to.deep.equal(whole);
  });

  it("is given on as it came, and is held in few buffers when it comes byte by byte", () => {
    const reader = new ClientHelloReader();
    const written = inRecords(hello, 50);
    const bytes = Buffer.from(written);
    for (let at = 0; at < bytes.length; at += 1) {
      reader.take(bytes.subarray(at, at + 1));
      // A reader that held each piece would now hold a part of what is overwritten.
      if (at > 64) bytes.fill(0, 0, at - 64);
    }
    expect(reader.bytes.equals(written)).to.equal(true);
  });

  it("has one name at most, so that nobody behind a passthrough takes another", async () => {
    const nameless = await realHello({ ALPNProtocols: ["h2"] });
    const named = (...names: string[]) => {
      const entries = names.map((name) => [0, name.length >> 8, name.length, ...Buffer.from(name)]);
      const list = entries.flat();
      return [0, 0, 0, list.length + 2, 0, list.length, ...list];
    };
    const nameIn = (...more: number[][]) => {
      const outcome = read(extended(nameless, more.flat()), 10_000);
      return outcome !== null && "fault" in outcome ? outcome.fault : outcome?.name;
    };
    expect(nameIn()).to.equal(null);
    expect(nameIn(named("a.example"))).to.equal("a.example");
    expect(nameIn(named("a.example", "b.example"))).to.equal("the hello is malformed");
    expect(nameIn(named("a.example"), named("b.example"))).to.equal("the hello is malformed");
    expect(nameIn(named("a.example"), named("a.example"))).to.equal("the hello is malformed");
  });

  it("may have none", async () => {
    expect(read(await realHello({}), 10_000)).to.deep.include({ name: null, protocols: [] });
    expect(
      read(await realHello({ maxVersion: "TLSv1.2", servername: "a.example" }), 3),
    ).to.deep.include({ name: "a.example" });
  });

  it("is waited for, and is no hello when something else comes", () => {
    expect(read(hello.subarray(0, -1), 50)).to.equal(null);
    const faults: readonly (readonly [name: string, bytes: Buffer])[] = [
      ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
      ["another record", Buffer.from([23, 3, 3, 0, 5, 1, 2, 3, 4, 5])],
      ["another handshake", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
      ["another protocol", Buffer.from([22, 2, 0, 0, 4, 1, 0, 0, 0])],
      ["a record without length", Buffer.from([22, 3, 1, 0, 0, 1, 0, 0, 0])],
      ["a record that is too long", Buffer.from([22, 3, 1, 0xff, 0xff, 1, 0, 0, 0])],
      ["a hello that is too long", Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])],
      ["an empty hello", Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0])],
    ];
    for (const [name, bytes] of faults)
      for (const size of [1, 100]) expect(read(bytes, size), name).to.have.property("fault");
  });

  it("is bounded, in however small records it comes", () => {
    const long = Buffer.concat([
      Buffer.from([22, 3, 1, 0, 0, 1, 0, 0x3f, 0xff]),
      Buffer.alloc(16_383),
    ]);
    const reader = new ClientHelloReader();
    const bytes = inRecords(long, 1);
    let taken = 0;
    let outcome: HelloOutcome | null = null;
    while (outcome === null && taken < bytes.length) {
      outcome = reader.take(bytes.subarray(taken, taken + 6));
      taken += 6;
    }
    expect(outcome).to.deep.equal({ fault: "the hello is too long" });
    expect(taken).to.be.below(25_000);
  });

  it("never throws, whatever byte is another, and names nothing that is no host", () => {
    for (let at = 5; at < hello.length; at += 1)
      for (const value of [0, 1, 0x80, 0xff]) {
        const changed = Buffer.from(hello);
        changed[at] = value;
        const outcome = read(changed, 10_000);
        if (outcome !== null && "name" in outcome && outcome.name !== null)
          expect(outcome.name).to.match(/^[\w.-]+$/);
      }
  });
});
