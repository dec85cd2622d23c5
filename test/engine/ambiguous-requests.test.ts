/**
 * Every row of the table is refused and its connection closed; nothing of it, and nothing behind it,
 * is ever a request to the origin.
 */
import { expect } from "chai";
import {
  fieldOf,
  type Origin,
  ok,
  requestBytes,
  type TestGateway,
  useTestBench,
} from "../support/http.ts";
import { type AmbiguousRequest, ambiguousRequests } from "./ambiguous-requests.ts";

/** What an attacker would like to be taken for a request of its own. */
const BEHIND = requestBytes("GET /smuggled");

describe("engine: ambiguous requests", () => {
  const bench = useTestBench();

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
    expect(answer.status).to.equal(row.status ?? 400);
    expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("close");
    await client.whenClosed();
    expect(client.violation).to.equal(null);
    expect(client.waiting, "answers after the refusal").to.equal(0);
    expect(origin.requests, "whole requests at the origin").to.have.length(0);
    if (row.inBody) {
      for (const connection of origin.connections) await connection.whenClosed();
    } else {
      expect(origin.connections, "connections to the origin").to.have.length(0);
      expect(gateway.ended, "exchanges").to.have.length(0);
    }
  }

  it("has many rows, each with a name of its own", () => {
    expect(ambiguousRequests.length).to.be.at.least(150);
    expect(new Set(ambiguousRequests.map((row) => row.name)).size).to.equal(
      ambiguousRequests.length,
    );
  });

  for (const row of ambiguousRequests) {
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
