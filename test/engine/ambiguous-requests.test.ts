/**
 * Every row of the table is refused and its connection closed; nothing of it, and nothing behind it,
 * is ever a request to the origin.
 */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, type Origin, ok, requestBytes, type TestGateway } from "../support/http.ts";
import { type AmbiguousRequest, ambiguousRequests } from "./ambiguous-requests.ts";
import { lenient } from "./differences.ts";

/** What an attacker would like to be taken for a request of its own. */
const BEHIND = requestBytes("GET /smuggled");

describeEngines("ambiguous requests", (bench, kind) => {
  async function expectRefused(
    row: AmbiguousRequest,
    origin: Origin,
    gateway: TestGateway,
    step: number,
  ): Promise<void> {
    const bytes = row.bytes + BEHIND;
    const offsets: number[] = [];
    for (let at = step; at < bytes.length; at += step) offsets.push(at);
    const client = await bench.client(gateway);
    client.send("", "GET", "GET", "GET");
    await client.sendSplit(bytes, offsets);
    const answer = await client.answer();
    // What is wrong, and how it is said, is the parser's; that it is refused is the contract's.
    if (kind === "http1") expect(answer.status).to.equal(row.status ?? 400);
    else expect(answer.status).to.be.within(400, 505);
    expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("close");
    await client.whenClosed();
    expect(client.violation).to.equal(null);
    expect(client.waiting, "answers after the refusal").to.equal(0);
    expect(origin.requests, "whole requests at the origin").to.have.length(0);
    if (row.inBody) {
      // One that was still on its way when the request was refused may be kept for another.
      const used = origin.connections.filter((connection) => connection.receivedBytes > 0);
      for (const connection of used) await connection.whenClosed();
    } else {
      expect(origin.connections, "connections to the origin").to.have.length(0);
      expect(gateway.ended, "exchanges").to.have.length(0);
    }
  }

  /** What node:http takes is one canonical request all the same, and what is behind it another. */
  async function expectCanonical(
    row: AmbiguousRequest,
    origin: Origin,
    gateway: TestGateway,
    step: number,
  ): Promise<void> {
    const bytes = row.bytes + BEHIND;
    const offsets: number[] = [];
    for (let at = step; at < bytes.length; at += step) offsets.push(at);
    const client = await bench.client(gateway);
    client.send("", "GET", "GET");
    await client.sendSplit(bytes, offsets);
    for (let n = 0; n < 2; n += 1) expect((await client.answer()).status).to.equal(200);
    expect(origin.requests.map((request) => request.target)).to.have.length(2);
    expect(origin.requests[1]?.target).to.equal("/smuggled");
  }

  it("has many rows, each with a name of its own", () => {
    expect(ambiguousRequests.length).to.be.at.least(150);
    expect(new Set(ambiguousRequests.map((row) => row.name)).size).to.equal(
      ambiguousRequests.length,
    );
  });

  for (const row of ambiguousRequests) {
    const reason = kind === "reference" ? lenient.get(row.name) : undefined;
    if (reason !== undefined) {
      it(`differs: takes ${row.name} (${reason})`, async () => {
        for (const step of [row.bytes.length + BEHIND.length, 1]) {
          const origin = await bench.origin(ok());
          await expectCanonical(row, origin, await bench.gateway(origin), step);
        }
      });
      continue;
    }

    it(`refuses ${row.name}`, async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin);
      await expectRefused(row, origin, gateway, row.bytes.length + BEHIND.length);
      const refused = Object.values(gateway.engine.stats().refused);
      expect(
        refused.reduce((sum, count) => sum + count, 0),
        "counted",
      ).to.equal(1);
    });

    it(`refuses ${row.name}, in pieces`, async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin);
      await expectRefused(row, origin, gateway, row.bytes.length > 5_000 ? 997 : 1);
    });
  }
});
