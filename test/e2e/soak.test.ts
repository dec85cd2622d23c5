/** Three minutes of steady changes and requests: heaps do not grow. `bench/soak.ts` goes on for longer. */
import { expect } from "chai";
import { growth, soak } from "../support/soak/soak.ts";

const minutes = 3;
/** What a heap may differ by without a leak; one of 2 kB a change, or of 200 bytes a request, is more. */
const mostRatio = 1.1;
const mostMegabytes = 2;

describe("a gateway with twenty changes a second", function () {
  this.timeout((minutes + 3) * 60_000);

  it("keeps nothing of changes and requests that are over", async () => {
    const { samples, failures } = await soak({
      ...{ minutes, changesPerSecond: 20, requestsPerSecond: 300 },
    });
    const last = samples.at(-1);
    console.log(`      ${last?.changes} changes, ${last?.requests} requests`);
    for (const [name, { before, after }] of growth(samples)) {
      console.log(`      ${name}: ${before.toFixed(1)} MB, then ${after.toFixed(1)} MB`);
      expect(after, name).to.be.below(before * mostRatio + mostMegabytes);
    }
    expect(failures).to.deep.equal({});
  });
});
