/** Calls between a client and a server of gRPC's own library, with the gateway between them. */
import {
  type Client,
  credentials,
  Client as GrpcClient,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { expect } from "chai";
import { Peer, Target } from "../../../gateway/engine/engine.ts";
import { expectIdle, startGateway, type TestGateway } from "../../support/engine.ts";
import { until } from "../../support/http.ts";
import { freePort } from "../../support/ports.ts";

const same = (bytes: Buffer) => bytes;

function method(path: string, requestStream: boolean, responseStream: boolean) {
  return {
    path: `/test.Echo/${path}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const echo = {
  one: method("One", false, false),
  down: method("Down", false, true),
  up: method("Up", true, false),
  both: method("Both", true, true),
} as const satisfies ServiceDefinition;

describe("HTTP/2: calls of gRPC", () => {
  let server: Server;
  let port: number;
  let gateway: TestGateway;
  let client: Client;
  /** Calls that the server was told are cancelled. */
  let cancelled: number;
  let deadlines: number[];

  beforeEach(async () => {
    cancelled = 0;
    deadlines = [];
    server = new Server({ "grpc.max_receive_message_length": -1 });
    server.addService(echo, {
      one(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
        const text = call.request.toString();
        deadlines.push(Number(call.getDeadline()));
        call.on("cancelled", () => {
          cancelled += 1;
        });
        if (text === "wait") return;
        if (text === "fail") {
          const metadata = new Metadata();
          metadata.set("x-why", "because");
          callback({ code: status.FAILED_PRECONDITION, details: "not now: 100 % käse", metadata });
          return;
        }
        const head = new Metadata();
        head.set("x-seen", String(call.metadata.get("x-mine")[0] ?? ""));
        head.set("x-bin-bin", Buffer.from([0, 255, 1]));
        call.sendMetadata(head);
        const trailer = new Metadata();
        trailer.set("x-sum", String(call.request.length));
        callback(null, call.request, trailer);
      },
      down(call: ServerWritableStream<Buffer, Buffer>) {
        call.on("cancelled", () => {
          cancelled += 1;
        });
        for (let at = 0; at < 5; at += 1) call.write(Buffer.from(`${call.request}${at}`));
        if (call.request.toString() !== "stay") call.end();
      },
      up(call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
        let bytes = 0;
        call.on("data", (piece: Buffer) => {
          bytes += piece.length;
        });
        call.on("end", () => callback(null, Buffer.from(String(bytes))));
      },
      both(call: ServerDuplexStream<Buffer, Buffer>) {
        call.on("data", (piece: Buffer) => call.write(Buffer.from(`${piece}!`)));
        call.on("end", () => call.end());
        call.on("error", () => {});
      },
    });
    // One of the tests shuts it down, and then nobody may have its port.
    const address = `127.0.0.1:${await freePort()}`;
    port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    const target = new Target(new Peer("127.0.0.1", port), { protocol: "h2c" });
    gateway = await startGateway({
      hooks: {
        onRequest(exchange) {
          if (exchange.path === "/test.Nobody/One") exchange.fail(404, "no_route", "no such host");
          if (exchange.path === "/test.Limited/One") exchange.fail(429, "rate_limited", "too much");
        },
        onPick: (exchange) => (exchange.tried(target.peer) ? null : target),
      },
    });
    client = new GrpcClient(`127.0.0.1:${gateway.port}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
    });
  });

  afterEach(async () => {
    client.close();
    server.forceShutdown();
    await gateway.engine.drain(2_000);
    await expectIdle(gateway.engine);
  });

  interface Outcome {
    readonly body: Buffer | null;
    readonly error: ServiceError | null;
    readonly head: Metadata | null;
    readonly trailer: Metadata;
  }

  function one(text: string | Buffer, path: string = echo.one.path, deadlineMs = 30_000) {
    const metadata = new Metadata();
    metadata.set("x-mine", "kept");
    let head: Metadata | null = null;
    let trailer = new Metadata();
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const deadline = Date.now() + deadlineMs;
    const call = client.makeUnaryRequest(
      path,
      same,
      same,
      Buffer.from(text),
      metadata,
      { deadline },
      (error, body) =>
        // The status, which brings the trailer, is told in the same turn.
        setImmediate(() => resolve({ error, body: body ?? null, head, trailer })),
    );
    call.on("metadata", (came: Metadata) => {
      head = came;
    });
    call.on("status", (came) => {
      trailer = came.metadata;
    });
    return { call, outcome: promise };
  }

  it("carry a message each way, and fields before and behind it", async () => {
    const { error, body, head, trailer } = await one("hello").outcome;
    expect(error).to.equal(null);
    expect(body?.toString()).to.equal("hello");
    expect(head?.get("x-seen")).to.deep.equal(["kept"]);
    expect(head?.get("x-bin-bin")).to.deep.equal([Buffer.from([0, 255, 1])]);
    expect(trailer.get("x-sum")).to.deep.equal(["5"]);
  });

  it("carry large messages", async () => {
    const large = Buffer.alloc(8_000_000, "m");
    expect((await one(large).outcome).body?.equals(large)).to.equal(true);
  });

  it("end with the server's status, its details and its fields", async () => {
    const { error, trailer } = await one("fail").outcome;
    expect(error?.code).to.equal(status.FAILED_PRECONDITION);
    expect(error?.details).to.equal("not now: 100 % käse");
    expect(trailer.get("x-why")).to.deep.equal(["because"]);
    expect((await one("x", "/test.Echo/None").outcome).error?.code).to.equal(status.UNIMPLEMENTED);
  });

  it("stream down, up and both ways at once", async () => {
    const down = client.makeServerStreamRequest(echo.down.path, same, same, Buffer.from("d"));
    const pieces = (await down.toArray()).map(String);
    expect(pieces).to.deep.equal(["d0", "d1", "d2", "d3", "d4"]);

    const sum = await new Promise<Buffer | undefined>((resolve, reject) => {
      const up = client.makeClientStreamRequest<Buffer, Buffer>(
        echo.up.path,
        same,
        same,
        (error, body) => (error === null ? resolve(body) : reject(error)),
      );
      for (let at = 0; at < 100; at += 1) up.write(Buffer.alloc(1_000));
      up.end();
    });
    expect(String(sum)).to.equal("100000");

    const both = client.makeBidiStreamRequest<Buffer, Buffer>(echo.both.path, same, same);
    const came: string[] = [];
    both.on("data", (piece: Buffer) => came.push(String(piece)));
    const ended = new Promise((resolve) => both.on("end", resolve));
    for (const text of ["a", "b", "c"]) {
      both.write(Buffer.from(text));
      await until(`the echo of ${text} came`, () => came.at(-1) === `${text}!`);
    }
    both.end();
    await ended;
    expect(came).to.deep.equal(["a!", "b!", "c!"]);
  });

  it("are many on one connection", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 300 }, (_, at) => one(`${at}`).outcome),
    );
    expect(outcomes.map(({ body }) => body?.toString())).to.deep.equal(
      outcomes.map((_, at) => `${at}`),
    );
  });

  it("that are cancelled are cancelled at the server", async () => {
    const { call, outcome } = one("wait");
    await until(
      "the server has it",
      () => gateway.engine.stats().exchanges === 1 && deadlines.length === 1,
    );
    call.cancel();
    expect((await outcome).error?.code).to.equal(status.CANCELLED);
    await until("the server knows", () => cancelled === 1);

    const stream = client.makeServerStreamRequest(echo.down.path, same, same, Buffer.from("stay"));
    stream.on("error", () => {});
    let count = 0;
    stream.on("data", () => {
      count += 1;
    });
    await until("it flows", () => count === 5);
    stream.cancel();
    await until("the server knows", () => cancelled === 2);
  });

  it("bring their deadline to the server", async () => {
    const before = Date.now();
    const { call, outcome } = one("wait", echo.one.path, 600_000);
    await until("the server has it", () => deadlines.length === 1);
    const [deadline = 0] = deadlines;
    // What is left of it is counted anew when it comes to the server, however late that is.
    expect(deadline - before).to.be.within(1, 601_000 + Date.now() - before);
    call.cancel();
    await outcome;
  });

  it("end at their deadline, at the server too when it has them", async () => {
    const { error } = await one("wait", echo.one.path, 1_500).outcome;
    expect(error?.code).to.equal(status.DEADLINE_EXCEEDED);
    await until(
      "nothing is left of it",
      () => gateway.engine.stats().exchanges === 0 && cancelled === deadlines.length,
    );
  });

  it("are told in gRPC's own words when the gateway fails them", async () => {
    const nobody = await one("x", "/test.Nobody/One").outcome;
    expect(nobody.error?.code).to.equal(status.UNIMPLEMENTED);
    expect(nobody.error?.details).to.equal("no_route: no such host");
    expect((await one("x", "/test.Limited/One").outcome).error?.code).to.equal(status.UNAVAILABLE);
    server.forceShutdown();
    await until("its connections are closed", () => gateway.engine.stats().peerConnections === 0);
    const gone = await one("x").outcome;
    expect(gone.error?.code).to.equal(status.UNAVAILABLE);
    expect(gone.error?.details).to.match(/^connect_failed: no peer of 127\.0\.0\.1/);
  });
});
