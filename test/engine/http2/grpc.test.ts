/**
 * What gRPC needs of the gateway, in the shape of its exchanges, with an origin that speaks HTTP/1.1 in chunks: messages
 * flow both ways at once, each as soon as it is there; the status comes in the trailer; a call can be cancelled.
 */
import { expect } from "chai";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import {
  answerBytes,
  type Origin,
  type OriginConnection,
  settled,
  type TestGateway,
  until,
  useTestBench,
} from "../../support/http.ts";
import type { Http2Connection } from "../../support/http2/connection.ts";
import { dataFrame, errorCode, rstStream } from "../../support/http2/frames.ts";
import type { Field } from "../../support/http2/hpack.ts";

/** gRPC's frame of a message: not compressed, its length, itself. */
function message(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

function chunk(bytes: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`${bytes.length.toString(16)}\r\n`),
    bytes,
    Buffer.from("\r\n"),
  ]);
}

const call: readonly Field[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/shop.Cart/Watch"],
  [":authority", "shop.example"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
  ["grpc-timeout", "10M"],
];
const answerHead = answerBytes("200 OK", [
  "Content-Type: application/grpc",
  "Transfer-Encoding: chunked",
  "Trailer: Grpc-Status",
]);
const status = "0\r\nGrpc-Status: 0\r\nGrpc-Message: fine\r\n\r\n";

describe("HTTP/2: exchanges as of gRPC", () => {
  const bench = useTestBench(createHttpEngine);
  let origin: Origin;
  let gateway: TestGateway;
  let client: Http2Connection;

  beforeEach(async () => {
    origin = await bench.origin("", {
      onHead: (_, connection) => connection.send(answerHead),
    });
    gateway = await bench.gateway(origin);
    client = await bench.http2(gateway);
  });

  async function begin(): Promise<{ stream: number; connection: OriginConnection }> {
    const before = origin.heads.length;
    const stream = client.request(call, { isLast: false });
    await until("the call arrived", () => origin.heads.length > before);
    await until("the answer began", () => client.answerOn(stream).fields !== null);
    return { stream, connection: origin.connections.at(-1) as OriginConnection };
  }

  it("let messages flow both ways, one after the other, and end with the status", async () => {
    const { stream, connection } = await begin();
    let asked = 0;
    let told = 0;
    for (const text of ["one", "two", "three"]) {
      client.send(dataFrame(stream, message(text), false));
      asked += message(text).length;
      await until(`${text} arrived`, () => connection.reader.bodyBytes === asked);
      connection.send(chunk(message(`${text}!`)));
      told += message(`${text}!`).length;
      await until(`the answer to ${text} came`, () => client.answerOn(stream).body.length === told);
    }
    expect(client.answerOn(stream).ended).to.equal(false);
    client.send(dataFrame(stream, "", true));
    await until("the client's end arrived", () => origin.requests.length === 1);
    connection.send(status);
    const answer = await client.answer(stream);
    expect(answer.trailers).to.deep.equal([
      ["grpc-status", "0"],
      ["grpc-message", "fine"],
    ]);
    expect([answer.ended, answer.resetCode]).to.deep.equal([true, null]);
    const { headers } = origin.request;
    expect(headers.filter(([name]) => /^(?:te|grpc-timeout)$/i.test(name))).to.have.length(2);
  });

  it("let the origin end a call early with its status", async () => {
    const { stream, connection } = await begin();
    client.send(dataFrame(stream, message("one"), false));
    connection.send(status);
    const answer = client.answerOn(stream);
    await until("the rest is not wanted", () => answer.resetCode !== null);
    expect(answer.ended).to.equal(true);
    expect(answer.trailers).to.have.length(2);
    expect(answer.resetCode).to.equal(errorCode.noError);
  });

  it("tell the origin of a call that is cancelled, while others go on", async () => {
    const cancelled = await begin();
    const kept = await begin();
    cancelled.connection.send(chunk(message("one")));
    client.send(rstStream(cancelled.stream, errorCode.cancel));
    await cancelled.connection.whenClosed();
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    kept.connection.send(chunk(message("two")));
    await until("it goes on", () => client.answerOn(kept.stream).body.length > 0);
    client.send(dataFrame(kept.stream, "", true));
    await until("the end arrived", () => origin.requests.length === 1);
    kept.connection.send(status);
    expect((await client.answer(kept.stream)).trailers).to.have.length(2);
  });

  it("end with their deadline, and the origin hears of it", async () => {
    const short = call.map<Field>(([name, value]) =>
      name === "grpc-timeout" ? [name, "1200m"] : [name, value],
    );
    const stream = client.request(short, { isLast: false });
    await until("the answer began", () => client.answerOn(stream).fields !== null);
    const [connection] = origin.connections;
    connection?.send(chunk(message("one")));
    const { trailers, body } = await client.answer(stream);
    expect(body.toString()).to.equal(message("one").toString());
    expect(trailers).to.deep.equal([
      ["grpc-status", "4"],
      ["grpc-message", "deadline_exceeded: the call's deadline has passed"],
    ]);
    await connection?.whenClosed();
    expect((await gateway.outcome()).errorCode).to.equal("deadline_exceeded");
  });

  it("are reset when the origin goes without a status", async () => {
    const { stream, connection } = await begin();
    connection.send(chunk(message("one")));
    await until("it came", () => client.answerOn(stream).body.length > 0);
    connection.end();
    const answer = await client.answer(stream);
    expect([answer.ended, answer.resetCode]).to.deep.equal([false, errorCode.internalError]);
  });

  it("hold back either side for the other, and lose nothing", async () => {
    const { stream, connection } = await begin();
    connection.socket.pause();
    const piece = Buffer.alloc(16_384, "u");
    const total = 20_000_000;
    let sent = 0;
    const send = () => {
      while (sent < total) {
        const room = client.room.take(stream, Math.min(piece.length, total - sent));
        if (room === 0) return;
        client.send(dataFrame(stream, piece.subarray(0, room), false));
        sent += room;
      }
    };
    client.onFrame = send;
    send();
    await settled(() => sent);
    // The other way is not held up.
    connection.send(chunk(message("down")));
    await until("it came", () => client.answerOn(stream).body.length > 0);
    connection.socket.resume();
    await until("all of it arrived", () => connection.reader.bodyBytes === total);
    client.send(dataFrame(stream, "", true));
    await until("the end arrived", () => origin.requests.length === 1);
    connection.send(status);
    expect((await client.answer(stream)).trailers).to.have.length(2);
  });
});
