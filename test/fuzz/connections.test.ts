/**
 * Whole connections that go wrong: random bytes, resets, half-closes and stalls at random moments, of
 * clients and of origins. Whatever happens, every request ends once, and nothing is left behind.
 */
import { expect } from "chai";
import { fromEnvironment, seedOf } from "../support/effort.ts";
import { describeEngines, type EngineKind } from "../support/engines.ts";
import {
  type Origin,
  type OriginConnection,
  ok,
  type RawClient,
  requestBytes,
  settled,
  type TestBench,
  type TestGateway,
  until,
} from "../support/http.ts";
import { mutated, pick } from "../support/mutation.ts";
import { cuts, seeded } from "../support/random.ts";

const conversations = fromEnvironment("FUZZ_CONNECTIONS", 400);
const atOnce = 40;

const limits = {
  headTimeoutMs: 150,
  bodyTimeoutMs: 150,
  idleTimeoutMs: 150,
  responseTimeoutMs: 150,
  connectTimeoutMs: 150,
  tunnelTimeoutMs: 150,
  peerIdleTimeoutMs: 300,
  maxConnectionsPerPeer: 24,
  maxWaitingPerPeer: 8,
  queueTimeoutMs: 150,
  maxBodyBytes: 200_000,
};

const requests: readonly string[] = [
  requestBytes("GET /"),
  requestBytes("HEAD /"),
  requestBytes("POST /", ["Content-Length: 11"], "hello world"),
  requestBytes("PUT /", ["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
  requestBytes("POST /", ["Expect: 100-continue", "Content-Length: 4"], "body"),
  requestBytes("GET /", ["Connection: close"]),
  requestBytes("GET /", ["Connection: Upgrade", "Upgrade: raw"]),
  requestBytes("PUT /", ["Content-Length: 100000"], "x".repeat(100_000)),
  "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
];

const answers: readonly string[] = [
  ok("fine"),
  ok("fine", ["Connection: close"]),
  ok("x".repeat(100_000)),
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\nuntil the end",
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhello",
  "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 100 Continue\r\n\r\n",
];

/** How a side leaves. */
const ends = ["close", "reset", "half-close", "stall"] as const;

function randomBytes(random: () => number): Buffer {
  return Buffer.from(
    Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256)),
  );
}

/** Lets a random number of turns of the event loop pass. */
async function turns(random: () => number): Promise<void> {
  for (let left = Math.floor(random() * 6); left > 0; left -= 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What an origin does with a connection of the gateway's: mostly answers, sometimes anything else. */
async function misbehave(random: () => number, connection: OriginConnection): Promise<void> {
  const kind = random();
  if (kind < 0.1) return connection.send(randomBytes(random));
  if (kind < 0.15) return connection.reset();
  if (kind < 0.2) return connection.end();
  // Stalls: the gateway has to find out by itself.
  if (kind < 0.25) return;
  const valid = pick(random, answers);
  const bytes = Buffer.from(random() < 0.3 ? mutated(random, valid) : valid, "latin1");
  const offsets = random() < 0.5 ? [] : cuts(random, bytes.length, 3);
  let from = 0;
  for (const to of [...offsets, bytes.length]) {
    connection.send(bytes.subarray(from, to));
    from = to;
    await turns(random);
    if (random() < 0.04) return connection.reset();
    if (random() < 0.04) return connection.end();
  }
  if (random() < 0.3) connection.end();
}

async function converse(
  random: () => number,
  bench: TestBench,
  gateway: TestGateway,
): Promise<RawClient> {
  const client = await bench.client(gateway, { allowHalfOpen: random() < 0.5 });
  for (let left = 1 + Math.floor(random() * 3); left > 0 && !client.closed; left -= 1) {
    const valid = pick(random, requests);
    const kind = random();
    const bytes =
      kind < 0.1
        ? randomBytes(random)
        : Buffer.from(kind < 0.4 ? mutated(random, valid) : valid, "latin1");
    const most = random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length;
    const part = bytes.subarray(0, most);
    await client.sendSplit(part, random() < 0.5 || part.length < 2 ? [] : cuts(random, most, 4));
    await turns(random);
    if (random() < 0.2) client.socket.pause();
  }
  switch (pick(random, ends)) {
    case "close":
      client.close();
      break;
    case "reset":
      client.reset();
      break;
    case "half-close":
      client.end();
      break;
    case "stall":
      break;
  }
  return client;
}

function misbehavingOrigin(random: () => number, bench: TestBench): Promise<Origin> {
  return bench.origin("", {
    bytesOnly: true,
    onConnection: (connection) => {
      connection.socket.on("data", () => void misbehave(random, connection));
    },
  });
}

describeEngines("connections that go wrong", (bench: TestBench, kind: EngineKind) => {
  const count = kind === "http1" ? conversations : Math.ceil(conversations / 4);

  it(`leave nothing behind (${count} conversations)`, async function () {
    this.timeout(Math.max(180_000, count * 300));
    const random = seeded(seedOf() + 3);
    const [first, second] = [
      await misbehavingOrigin(random, bench),
      await misbehavingOrigin(random, bench),
    ];
    let begun = 0;
    const gateway = await bench.gateway([first, second], {
      limits,
      hooks: {
        onRequest(exchange) {
          // Also asked again after `hold`.
          if (exchange.header("x-held") === undefined) begun += 1;
          if (random() < 0.1 && exchange.header("x-held") === undefined) {
            exchange.setHeader("X-Held", "1");
            exchange.hold();
            const { serial } = exchange;
            void turns(random).then(() => {
              if (exchange.serial === serial) exchange.resume();
            });
          }
        },
      },
    });
    for (let done = 0; done < count; done += atOnce) {
      const clients = await Promise.all(
        Array.from({ length: Math.min(atOnce, count - done) }, () =>
          converse(random, bench, gateway),
        ),
      );
      const isLast = done + atOnce >= count;
      // Clients that stall are the gateway's to get rid of: of the last ones to the end.
      const live = () => {
        const { exchanges, clientConnections } = gateway.engine.stats();
        return exchanges + (isLast ? clientConnections : 0);
      };
      await until("the gateway was done with them", () => live() === 0, {
        describe: () => gateway.engine.stats(),
      });
      for (const client of clients) client.close();
      await until("they were gone", () => gateway.engine.stats().clientConnections === 0);
      expect([first.peer.inFlight, second.peer.inFlight]).to.deep.equal([0, 0]);
    }
    await settled(() => gateway.engine.stats().peerConnections, 3);
    expect(gateway.handlerErrors).to.deep.equal([]);
    expect(gateway.ended.length, "each request ended once").to.equal(begun);
    expect(gateway.engine.stats().requests).to.equal(begun);
    expect(begun).to.be.greaterThan(count / 4);
  });
});
