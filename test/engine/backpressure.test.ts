/**
 * A side that does not read stops the side that writes, and nothing grows in between. What the
 * kernel's socket buffers hold comes on top of the gateway's own, hence the generous bound.
 */
import { expect } from "chai";
import type { ClientSocket } from "../support/client.ts";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  type OriginConnection,
  ok,
  requestBytes,
  settled,
  until,
} from "../support/http.ts";

const MEGABYTE = 1024 * 1024;
const TOTAL = 128 * MEGABYTE;
/** Two loopback hops of up to 10 MB in the kernel each, and as much again. */
const BOUND = 40 * MEGABYTE;
const PIECE = Buffer.alloc(65_536, "x");

/** Writes `total` bytes of pieces as fast as the socket takes them. */
class Pump {
  readonly #socket: ClientSocket;
  readonly #piece: Buffer;
  #left: number;

  constructor(socket: ClientSocket, total: number, piece = PIECE) {
    this.#socket = socket;
    this.#piece = piece;
    this.#left = Math.ceil(total / piece.length);
    socket.on("drain", () => this.#go());
    this.#go();
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  /** Bytes that the operating system took from this side. */
  get sent(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  #go(): void {
    while (this.#left > 0 && !this.#socket.destroyed) {
      this.#left -= 1;
      if (!this.#socket.write(this.#piece)) return;
    }
  }
}

describeEngines("backpressure", (bench) => {
  for (const framing of ["length", "chunked", "close"] as const) {
    it(`stops an origin whose client does not read (${framing})`, async () => {
      const pumps: Pump[] = [];
      const head = {
        length: answerBytes("200 OK", [`Content-Length: ${TOTAL}`]),
        chunked: answerBytes("200 OK", ["Transfer-Encoding: chunked"]),
        close: answerBytes("200 OK", []),
      }[framing];
      const piece =
        framing === "chunked"
          ? Buffer.concat([Buffer.from("10000\r\n"), PIECE, Buffer.from("\r\n")])
          : PIECE;
      const count = TOTAL / PIECE.length;
      const origin = await bench.origin((_, connection) => {
        connection.send(head);
        pumps.push(new Pump(connection.socket, count * piece.length, piece));
      });
      const client = await bench.client(await bench.gateway(origin));
      client.socket.pause();
      client.send(requestBytes("GET /"), "GET");
      await until("the origin began", () => (pumps[0]?.sent ?? 0) > 0);
      const stoppedAt = await settled(() => pumps[0]?.sent ?? 0);
      expect(stoppedAt).to.be.lessThan(BOUND);
      client.socket.resume();
      await until("the origin wrote all", () => pumps[0]?.isDone === true);
      const connection = origin.connections[0] as OriginConnection;
      if (framing === "chunked") connection.send("0\r\n\r\n");
      if (framing === "close") connection.end();
      await until("the whole answer came", () => client.waiting > 0);
      expect((await client.answer()).body.length).to.equal(TOTAL);
    });
  }

  for (const framing of ["length", "chunked"] as const) {
    it(`stops a client whose origin does not read (${framing})`, async () => {
      const origin = await bench.origin(ok(), { paused: true });
      const client = await bench.client(await bench.gateway(origin));
      const piece =
        framing === "chunked"
          ? Buffer.concat([Buffer.from("10000\r\n"), PIECE, Buffer.from("\r\n")])
          : PIECE;
      const count = TOTAL / PIECE.length;
      const header =
        framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${TOTAL}`;
      client.send(requestBytes("PUT /", [header]), "PUT");
      const pump = new Pump(client.socket, count * piece.length, piece);
      const stoppedAt = await settled(() => pump.sent);
      expect(stoppedAt).to.be.lessThan(BOUND);
      (await origin.connection()).socket.resume();
      await until("the client wrote all", () => pump.isDone);
      if (framing === "chunked") client.send("0\r\n\r\n");
      expect((await client.answer()).status).to.equal(200);
      expect(origin.request.body.length).to.equal(TOTAL);
    });
  }

  for (const from of ["origin", "handler"] as const) {
    it(`stops asking for a client that sends requests and reads no answers (${from})`, async () => {
      const body = "x".repeat(7_000);
      const origin = await bench.origin(ok(body));
      const gateway = await bench.gateway(origin, {
        hooks: {
          onRequest(exchange) {
            if (from === "handler") exchange.answer({ status: 200, body });
          },
        },
      });
      const client = await bench.client(gateway);
      client.socket.pause();
      const batch = requestBytes("GET /").repeat(1_000);
      const pump = new Pump(client.socket, 20 * batch.length, Buffer.from(batch));
      await until("the first was served", () => gateway.ended.length > 0);
      const served = await settled(() => gateway.ended.length);
      expect(served * body.length, `${served} answers`).to.be.lessThan(BOUND);
      expect(pump.isDone && served === 20_000, "all were served").to.equal(false);
    });
  }

  it("does not hold up other clients while one does not read", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target === "/small") return connection.send(ok("small"));
      connection.send(answerBytes("200 OK", [`Content-Length: ${TOTAL}`]));
      new Pump(connection.socket, TOTAL);
    });
    const gateway = await bench.gateway(origin);
    const slow = await bench.client(gateway);
    slow.socket.pause();
    slow.send(requestBytes("GET /large"), "GET");
    await origin.connection();
    const fast = await bench.client(gateway);
    for (let n = 0; n < 20; n += 1) {
      expect((await fast.request(requestBytes("GET /small"))).status).to.equal(200);
    }
    slow.close();
    await (await origin.connection()).whenClosed();
  });

  it("cancels the upstream request when the client leaves before the answer", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    for (const leave of ["close", "reset"] as const) {
      const n = origin.requests.length;
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /"), "GET");
      await until("the request arrived", () => origin.requests.length > n);
      client[leave]();
      await (await origin.connection(n)).whenClosed();
      const outcome = await gateway.outcomeOf(n);
      expect(outcome).to.include({ errorCode: "client_closed", status: 0 });
    }
    expect(origin.peer.inFlight).to.equal(0);
  });

  it("cancels the upstream request when the client leaves in the middle of the answer", async () => {
    const origin = await bench.origin((_, connection) => {
      connection.send(answerBytes("200 OK", [`Content-Length: ${TOTAL}`]));
      new Pump(connection.socket, TOTAL);
    });
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /"), "GET");
    await until("the answer began", () => (client.underWay?.bodyBytes ?? 0) > 0);
    client.reset();
    await (await origin.connection()).whenClosed();
    const outcome = await gateway.outcome();
    expect(outcome).to.include({ errorCode: "client_closed", status: 200 });
    expect(outcome.bytesOut).to.be.lessThan(TOTAL);
  });

  it("cancels the upstream request when the client leaves in the middle of an upload", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("PUT /", ["Content-Length: 1000000"], "x".repeat(1000)), "PUT");
    const connection = await origin.connection();
    await until("the body began", () => connection.reader.bodyBytes === 1000);
    client.reset();
    await connection.whenClosed();
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
  });
});
