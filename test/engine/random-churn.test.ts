/**
 * Clients that come and leave, and peers that answer, refuse, reset, hang or go away, in random order and
 * with room for few connections: whoever stays is answered once, in time, and nothing is left behind.
 */
import { expect } from "chai";
import { Peer } from "../../gateway/engine/engine.ts";
import { fromEnvironment, seedOf } from "../support/effort.ts";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  fieldOf,
  type Origin,
  type OriginConnection,
  type OriginRequest,
  ok,
  type RawClient,
  requestBytes,
  settled,
  type TestBench,
  type TestGateway,
  until,
} from "../support/http.ts";
import { pick } from "../support/mutation.ts";
import { seeded } from "../support/random.ts";
import { refusingPeer, silentPort } from "../support/unreachable.ts";

const rounds = fromEnvironment("FUZZ_CHURN", 3);
const atOnce = 24;
const timeouts = {
  connectTimeoutMs: 100,
  queueTimeoutMs: 300,
  responseTimeoutMs: 200,
  bodyTimeoutMs: 300,
  peerIdleTimeoutMs: 200,
};
/** An attempt that was under way may have to fail before a request's own is made; deadlines have a grain. */
const mostPerTryMs = 2 * 100 + 300 + 200 + 300;
/** What is granted to a slow machine. */
const slackMs = 2_000;

/** Lets up to `most` turns of the event loop pass. */
async function turns(random: () => number, most = 8): Promise<void> {
  for (let left = Math.floor(random() * most); left > 0; left -= 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

class Churn {
  /** Whether the origins behave from now on. */
  isOver = false;
  /** Every peer that there ever was. */
  readonly peers: Peer[] = [];
  /** Those that are picked. */
  live: Peer[] = [];
  /** Requests of all visitors. */
  sent = 0;
  /** Of the origins, which may go on after an answer. */
  scripts = 0;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  add(host: string, port: number): void {
    const peer = new Peer(host, port);
    this.peers.push(peer);
    this.live.push(peer);
  }

  /** Another peer of the same address takes the place of one. */
  replace(gateway: TestGateway): void {
    const old = pick(this.#random, this.live);
    this.live = this.live.filter((peer) => peer !== old);
    this.add(old.host, old.port);
    gateway.engine.retire(old);
  }

  async answer(request: OriginRequest, connection: OriginConnection): Promise<void> {
    this.scripts += 1;
    try {
      await this.#answer(request, connection);
    } finally {
      this.scripts -= 1;
    }
  }

  async #answer({ target, body }: OriginRequest, connection: OriginConnection): Promise<void> {
    const random = this.#random;
    const text = `${target} ${body.length}`;
    if (this.isOver) return connection.send(ok(text));
    const kind = random();
    if (kind < 0.5) await turns(random);
    if (kind < 0.08) return connection.reset();
    if (kind < 0.16) return connection.end();
    // Falls silent: the gateway has to find out by itself.
    if (kind < 0.2) return;
    if (kind < 0.3) return connection.end(ok(text, ["Connection: close"]));
    if (kind < 0.35) return connection.send(`${ok(text)}stray`);
    if (kind < 0.45) {
      return connection.sendPieces([
        answerBytes("200 OK", ["Transfer-Encoding: chunked"]),
        chunk(text),
      ]);
    }
    connection.send(ok(text));
    // Not asked for, or gone, a while after it was kept.
    if (kind < 0.55) {
      await turns(random, 20);
      if (random() < 0.5) connection.reset();
      else connection.send("stray");
    }
  }

  /** Sends some requests one after the other, and may leave in the middle. */
  async visit(bench: TestBench, gateway: TestGateway, name: string): Promise<void> {
    const random = this.#random;
    const client = await bench.client(gateway);
    for (let left = 1 + Math.floor(random() * 6); left > 0; left -= 1) {
      const target = `/${name}/${left}`;
      const method = pick(random, ["GET", "GET", "POST", "PUT"]);
      const size = method === "GET" ? 0 : pick(random, [5, 5, 100_000]);
      client.send(requestBytes(`${method} ${target}`, [`Content-Length: ${size}`]), method);
      client.send(Buffer.alloc(size, "b"));
      this.sent += 1;
      if (this.sent % 10 === 0) this.replace(gateway);
      if (random() < 0.15) {
        await turns(random);
        if (random() < 0.5) client.close();
        else client.reset();
        return;
      }
      if (!(await this.#isAnswered(client, `${target} ${size}`))) return;
      await turns(random);
    }
    client.close();
  }

  /** Whether the connection outlives the answer, which is the right one, a refusal, or visibly cut. */
  async #isAnswered(client: RawClient, text: string): Promise<boolean> {
    const [answer] = await Promise.allSettled([client.answer()]);
    if (answer.status === "rejected") {
      expect((answer.reason as Error).message).to.match(/^truncated|^reset in the middle/);
      return false;
    }
    const { status, body } = answer.value;
    if (status === 200) expect(body.toString()).to.equal(text);
    else expect(status, body.toString()).to.be.oneOf([502, 503, 504]);
    expect(client.waiting, "further answers").to.equal(0);
    return fieldOf(answer.value, "Connection") !== "close";
  }
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
}

describeEngines("churn", (bench) => {
  for (let round = 0; round < rounds; round += 1) {
    const random = seeded(seedOf() * 1_000 + round);
    const limits = {
      ...timeouts,
      maxConnectionsPerPeer: 1 + (round % 3),
      maxIdlePerPeer: pick(random, [0, 1, 1_024]),
      maxWaitingPerPeer: pick(random, [0, 3, 100]),
      maxTries: pick(random, [1, 2, 3]),
    };
    const { maxConnectionsPerPeer, maxIdlePerPeer, maxWaitingPerPeer, maxTries } = limits;
    it(`leaves nobody waiting, round ${round}: ${maxConnectionsPerPeer} connections, ${maxIdlePerPeer} kept, ${maxWaitingPerPeer} waiting, ${maxTries} tries`, async function () {
      this.timeout(240_000);
      const churn = new Churn(random);
      const origins: Origin[] = [];
      for (let n = 0; n < 2; n += 1) {
        const origin = await bench.origin((request, connection) =>
          churn.answer(request, connection),
        );
        origins.push(origin);
        churn.add("127.0.0.1", origin.port);
      }
      const refusing = refusingPeer();
      churn.add(refusing.host, refusing.port);
      churn.add("127.0.0.1", await silentPort(bench));
      const gateway = await bench.gateway(origins, {
        limits,
        hooks: {
          onPick: (exchange) =>
            churn.isOver
              ? (churn.live.find(({ port }) => exchange.path.startsWith(`/${port}/`)) ?? null)
              : pick(random, churn.live),
          onEnd: ({ tries, durationMs }) => {
            if (durationMs > Math.max(1, tries) * mostPerTryMs + slackMs)
              throw new Error(`${durationMs} ms in ${tries} tries`);
          },
        },
      });
      let visitors = 0;
      const visitAll = async () => {
        for (let left = 5; left > 0; left -= 1) {
          visitors += 1;
          await churn.visit(bench, gateway, `v${visitors}`);
        }
      };
      await Promise.all(Array.from({ length: atOnce }, visitAll));
      await until("all are over", () => gateway.engine.stats().exchanges === 0);
      expect(gateway.handlerErrors).to.deep.equal([]);
      expect(gateway.engine.stats().requests).to.be.at.most(churn.sent);
      expect(gateway.ended.length).to.equal(gateway.engine.stats().requests);
      for (const peer of churn.peers) expect(peer.inFlight).to.equal(0);
      await until("the origins have said all", () => churn.scripts === 0);
      await settled(() => gateway.engine.stats().peerConnections);
      // What is left serves as many at once as it ever may.
      churn.isOver = true;
      for (const { port } of origins) {
        const clients = await Promise.all(
          Array.from({ length: maxConnectionsPerPeer }, () => bench.client(gateway)),
        );
        for (const client of clients) client.send(requestBytes(`GET /${port}/`), "GET");
        for (const client of clients) expect((await client.answer()).status).to.equal(200);
      }
      for (const peer of churn.live) gateway.engine.retire(peer);
      await until("no connection is left", () => gateway.engine.stats().peerConnections === 0, {
        describe: () => gateway.engine.stats(),
      });
      for (const peer of churn.peers) expect(peer.inFlight).to.equal(0);
      expect(gateway.ended.filter(({ status }) => status === 200).length).to.be.greaterThan(20);
    });
  }
});
