/** What each deadline ends, with which answer, and that nothing is left of it. */
import { expect } from "chai";
import type { EngineLimits, EngineStats } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, ok, type RawClient, requestBytes, until } from "../support/http.ts";
import type { OriginScript } from "../support/origin.ts";

interface Deadline {
  readonly name: string;
  readonly limits: Partial<EngineLimits>;
  readonly script: OriginScript;
  /** What the client sends. */
  readonly bytes: string;
  /** Statuses of the answers that the client gets, in order. */
  readonly statuses: readonly number[];
  /** Whether the client sees that its answer was cut. */
  readonly isCut: boolean;
  readonly refused: EngineStats["refused"];
  /** Of the exchanges, in order. */
  readonly errorCodes: readonly string[];
  /** Whether the gateway ends the client's connection by itself. */
  readonly closes: boolean;
}

const silent: OriginScript = () => {};
const halfAnswer: OriginScript = (_, connection) =>
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
const halfChunk: OriginScript = (_, connection) =>
  connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
const tunnel: OriginScript = (_, connection) =>
  connection.send(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello",
  );
const upgrade = requestBytes("GET /", ["Connection: Upgrade", "Upgrade: chat"]);

const deadlines: readonly Deadline[] = [
  {
    name: "a connection without its first request ends, without an answer",
    limits: { idleTimeoutMs: 150 },
    script: silent,
    bytes: "",
    statuses: [],
    isCut: false,
    refused: {},
    errorCodes: [],
    closes: true,
  },
  {
    name: "a connection without a further request ends, without another answer",
    limits: { idleTimeoutMs: 150 },
    script: ok(),
    bytes: requestBytes("GET /"),
    statuses: [200],
    isCut: false,
    refused: {},
    errorCodes: [""],
    closes: true,
  },
  {
    name: "a first head that stops is answered with 408",
    limits: { headTimeoutMs: 150 },
    script: ok(),
    bytes: "GET / HTTP/1.1\r\n",
    statuses: [408],
    isCut: false,
    refused: { head_timeout: 1 },
    errorCodes: [],
    closes: true,
  },
  {
    name: "a further head that stops is answered with 408",
    limits: { headTimeoutMs: 150, idleTimeoutMs: 600 },
    script: ok(),
    bytes: `${requestBytes("GET /")}GET / HTTP/1.1\r\n`,
    statuses: [200, 408],
    isCut: false,
    refused: { head_timeout: 1 },
    errorCodes: [""],
    closes: true,
  },
  {
    name: "a body with a length that stops is answered with 408",
    limits: { bodyTimeoutMs: 150 },
    script: silent,
    bytes: requestBytes("POST /", ["Content-Length: 10"], "half"),
    statuses: [408],
    isCut: false,
    refused: {},
    errorCodes: ["body_timeout"],
    closes: true,
  },
  {
    name: "a body in chunks that stops is answered with 408",
    limits: { bodyTimeoutMs: 150 },
    script: silent,
    bytes: requestBytes("POST /", ["Transfer-Encoding: chunked"], "4\r\nhalf\r\n"),
    statuses: [408],
    isCut: false,
    refused: {},
    errorCodes: ["body_timeout"],
    closes: true,
  },
  {
    name: "a body that stops before its first byte is answered with 408",
    limits: { bodyTimeoutMs: 150 },
    script: silent,
    bytes: requestBytes("POST /", ["Content-Length: 10"]),
    statuses: [408],
    isCut: false,
    refused: {},
    errorCodes: ["body_timeout"],
    closes: true,
  },
  {
    name: "an answer that does not come is answered with 504, and the connection goes on",
    limits: { responseTimeoutMs: 150 },
    script: silent,
    bytes: requestBytes("GET /"),
    statuses: [504],
    isCut: false,
    refused: { no_host: 1 },
    errorCodes: ["response_timeout"],
    closes: false,
  },
  {
    name: "an answer of which interim heads come only is answered with 504",
    limits: { responseTimeoutMs: 150 },
    script: (_, connection) => connection.send("HTTP/1.1 103 Early Hints\r\n\r\n"),
    bytes: requestBytes("GET /"),
    statuses: [103, 504],
    isCut: false,
    refused: { no_host: 1 },
    errorCodes: ["response_timeout"],
    closes: false,
  },
  {
    name: "an answer with a length that stops is cut",
    limits: { bodyTimeoutMs: 150 },
    script: halfAnswer,
    bytes: requestBytes("GET /"),
    statuses: [],
    isCut: true,
    refused: {},
    errorCodes: ["body_timeout"],
    closes: true,
  },
  {
    name: "an answer in chunks that stops is cut",
    limits: { bodyTimeoutMs: 150 },
    script: halfChunk,
    bytes: requestBytes("GET /"),
    statuses: [],
    isCut: true,
    refused: {},
    errorCodes: ["body_timeout"],
    closes: true,
  },
  {
    name: "an upgraded connection without bytes ends",
    limits: { tunnelTimeoutMs: 150 },
    script: tunnel,
    bytes: upgrade,
    statuses: [101],
    isCut: false,
    refused: {},
    errorCodes: ["client_closed"],
    closes: true,
  },
];

describeEngines("deadlines", (bench) => {
  for (const deadline of deadlines) {
    it(deadline.name, async () => {
      const origin = await bench.origin(deadline.script);
      const gateway = await bench.gateway(origin, {
        // Kept connections to the origin go too, so that the counters can reach zero by themselves.
        limits: { peerIdleTimeoutMs: 150, ...deadline.limits },
      });
      const client = await bench.client(gateway);
      client.send(deadline.bytes, ...methods(deadline));
      for (const status of deadline.statuses) {
        const answer = await client.answer();
        expect(answer.status).to.equal(status);
        if (status === 408) expect(fieldOf(answer, "Connection")).to.equal("close");
      }
      if (deadline.closes) await client.whenClosed();
      else await stillAnswers(client);
      expect(client.waiting).to.equal(0);
      expect(client.violation !== null, `${client.violation}`).to.equal(deadline.isCut);
      let stats = gateway.engine.stats();
      await until(
        "nothing is left",
        () => {
          stats = gateway.engine.stats();
          return (
            stats.exchanges === 0 && stats.peerConnections === 0 && stats.clientConnections === 0
          );
        },
        { describe: () => stats },
      );
      expect(stats.refused).to.deep.equal(deadline.refused);
      const codes = gateway.ended.map((ended) => ended.errorCode);
      expect(codes).to.deep.equal(deadline.errorCodes);
      expect(origin.peer.inFlight).to.equal(0);
    });
  }

  function methods({ bytes }: Deadline): readonly string[] {
    return bytes === "" ? [] : ["GET", "GET"];
  }

  /** A further request is read, and refused since it has no Host. */
  async function stillAnswers(client: RawClient): Promise<void> {
    client.send("GET / HTTP/1.1\r\n\r\n", "GET");
    const answer = await client.finalAnswer();
    expect(answer.status).to.equal(400);
    await client.whenClosed();
  }
});
