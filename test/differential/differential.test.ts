/**
 * The same traffic through the gateway's own engine, through the reference engine and straight to
 * `node:http`: all three must agree on what was asked and on what was answered, or a rule says why not.
 */
import { expect } from "chai";
import { fromEnvironment, seedOf } from "../support/effort.ts";
import { expectIdle } from "../support/http.ts";
import { seeded } from "../support/random.ts";
import { compare } from "./compare.ts";
import { type Conversation, conversation } from "./traffic.ts";
import { type WayName, Ways } from "./ways.ts";

const requests = fromEnvironment("DIFFERENTIAL_REQUESTS", 3_000);
const atOnce = 100;

describe("differential", function () {
  this.timeout(Math.max(240_000, requests * 80));

  it(`three ways agree on what was asked, or a rule says why not (${requests} requests)`, async () => {
    const random = seeded(seedOf() + 4);
    const ways = await Ways.open();
    const counts = new Map<string, number>();
    const defects: string[] = [];
    async function one(number: number, said: Conversation): Promise<void> {
      const names: readonly WayName[] = ["http1", "reference", "direct"];
      const [http1, reference, direct] = await Promise.all(
        names.map((name) => ways.run(name, number, said)),
      );
      if (!http1 || !reference || !direct) throw new Error("a way is missing");
      for (const [name, outcome] of [
        ["http1", http1],
        ["reference", reference],
      ] as const) {
        const verdict = compare(outcome, direct, name === "http1");
        const what = verdict.kind === "explained" ? verdict.rule : verdict.kind;
        counts.set(`${name}: ${what}`, (counts.get(`${name}: ${what}`) ?? 0) + 1);
        if (verdict.kind === "defect") {
          defects.push(
            `${name}: ${verdict.what}\n${JSON.stringify(said.bytes.toString("latin1"))}`,
          );
        }
      }
    }
    try {
      let sent = 0;
      for (let number = 0; sent < requests; ) {
        const batch: Promise<void>[] = [];
        for (; batch.length < atOnce && sent < requests; number += 1) {
          const said = conversation(random);
          sent += said.requests.length;
          batch.push(one(number, said));
        }
        await Promise.all(batch);
      }
    } finally {
      await ways.close();
    }
    for (const engine of Object.values(ways.engines)) await expectIdle(engine);
    const summary = [...counts].sort().map(([what, count]) => `${what} ${count}`);
    if (defects.length > 0) {
      const shown = defects.slice(0, 10).join("\n\n");
      expect.fail(`${defects.length} defects (${summary.join(", ")}):\n\n${shown}`);
    }
    expect(ways.errors).to.deep.equal([]);
    expect(counts.get("http1: agreed") ?? 0).to.be.greaterThan(requests / 10);
    expect(counts.get("reference: agreed") ?? 0).to.be.greaterThan(requests / 10);
  });
});
