/** Three minutes of steady changes and requests: heaps do not grow. `bench/soak.ts` goes on for longer. */
import { expect } from "chai";
import { growth, soak } from "../support/soak/soak.ts";

const minutes = 3;

describe("a gateway with twenty changes a second", function () {
  this.timeout((minutes + 10) * 60_000);

  it("keeps nothing of changes and requests that are over", async () => {
    const { samples, failures } = await soak({
      ...{ minutes, changesPerSecond: 20, requestsPerSecond: 300 },
    });
    const last = samples.at(-1);
    console.log(`      ${last?.changes} changes, ${last?.requests} requests`);
    for (const [name, { before, after, isLeak }] of growth(samples)) {
      console.log(`      ${name}: ${before.toFixed(1)} MB, then ${after.toFixed(1)} MB`);
      expect(isLeak, name).to.equal(false);
    }
    expect(failures).to.deep.equal({});
  });
});
