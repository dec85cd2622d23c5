/** Uploads that stand still on one side: what keeps them alive, and how soon a client that left is noticed. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, requestBytes, settled, until } from "../support/http.ts";

const size = 30_000_000;

describeEngines("uploads", (bench, kind) => {
  it("are not cut while their answer flows, though the client sends nothing for long", async () => {
    const origin = await bench.origin("", {
      onHead: (_, connection) =>
        connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"])),
    });
    const bodyTimeoutMs = 400;
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs } });
    const client = await bench.client(gateway);
    client.send(requestBytes("POST /", ["Content-Length: 8"], "half"), "POST");
    const connection = await origin.connection();
    await until("the answer began", () => client.underWay !== null);
    const end = gateway.clock.now() + 4 * bodyTimeoutMs;
    let sent = 0;
    await until("it took long", () => {
      connection.send("1\r\nx\r\n");
      sent += 1;
      return gateway.clock.now() > end;
    });
    client.send("done");
    await until("the upload is whole", () => origin.requests.length === 1);
    connection.send("0\r\n\r\n");
    expect((await client.answer()).body.length).to.equal(sent);
    expect((await gateway.outcome()).errorCode).to.equal("");
  });

  it("keep their answer while they flow, though the peer sends nothing for long", async () => {
    const origin = await bench.origin("", {
      onHead: (_, connection) =>
        connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"])),
    });
    const bodyTimeoutMs = 400;
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs } });
    const client = await bench.client(gateway);
    client.send(requestBytes("POST /", ["Transfer-Encoding: chunked"]), "POST");
    const connection = await origin.connection();
    const end = gateway.clock.now() + 4 * bodyTimeoutMs;
    await until("it took long", () => {
      client.send("1\r\nx\r\n");
      return gateway.clock.now() > end;
    });
    client.send("0\r\n\r\n");
    await until("the upload is whole", () => origin.requests.length === 1);
    connection.send("0\r\n\r\n");
    expect((await client.answer()).status).to.equal(200);
    expect((await gateway.outcome()).errorCode).to.equal("");
  });

  it("end when neither way has moved for as long as a body may pause", async () => {
    const origin = await bench.origin("", {
      onHead: (_, connection) =>
        connection.send(answerBytes("200 OK", ["Content-Length: 9"], "half")),
    });
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs: 150 } });
    const client = await bench.client(gateway);
    client.send(requestBytes("POST /", ["Content-Length: 8"], "half"), "POST");
    await client.whenClosed();
    expect((await gateway.outcome()).errorCode).to.equal("body_timeout");
  });

  // The parser of node:http reads the socket in the reference engine, and does not while it is paused.
  if (kind === "http1")
    it("end soon when the client closes its side and nothing unread stands before that", async () => {
      const origin = await bench.origin(() => {});
      const limits = { maxConnectionsPerPeer: 1, queueTimeoutMs: 60_000 };
      const gateway = await bench.gateway(origin, { limits });
      const busy = await bench.client(gateway);
      busy.send(requestBytes("GET /"), "GET");
      await until("it is busy", () => origin.requests.length === 1);
      const client = await bench.client(gateway);
      // One byte more than is held for a request that waits: it is read no further.
      client.send(requestBytes("PUT /", ["Content-Length: 1000000"]), "PUT");
      client.send(Buffer.alloc(65_537, "x"));
      await until("it waits", () => gateway.engine.stats().exchanges === 2);
      client.socket.end();
      const outcome = await gateway.outcome();
      expect(outcome).to.include({ errorCode: "client_closed", bytesIn: 65_537 });
    });

  it("end soon when the client resets them behind bytes that nobody reads", async () => {
    const origin = await bench.origin("", { bytesOnly: true, paused: true });
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("PUT /", [`Content-Length: ${size}`]), "PUT");
    client.send(Buffer.alloc(size, "x"));
    await origin.connection();
    await settled(() => client.socket.writableLength, 3);
    expect(client.socket.writableLength, "still with the client").to.be.greaterThan(0);
    client.reset();
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    (await origin.connection()).socket.resume();
    await (await origin.connection()).whenClosed();
  });
});
