/**
 * Whatever happens, and in whatever order, the catalog becomes what Docker runs. SLUICE_CHAOS_STEPS=200 runs
 * longer, SLUICE_CHAOS_SEED=7 another way.
 */
import { expect } from "chai";
import { consulKinds, type TestConsul } from "../support/consul.ts";
import { type DockerEngine, findDocker, startDocker } from "../support/docker.ts";
import { seeded } from "../support/random.ts";
import { startRegistratorProcess } from "../support/registrator.ts";
import { Chaos } from "../support/registrator-chaos.ts";

const steps = Number(process.env.SLUICE_CHAOS_STEPS ?? 40);
const seed = Number(process.env.SLUICE_CHAOS_SEED ?? 5);
const mostStepsAtOnce = 4;
const settleMs = 120_000;

// The last kind: real Consul, where it is here.
for (const kind of findDocker() === null ? [] : consulKinds().slice(-1))
  describe(`the registrator in chaos, with ${kind.name}`, function () {
    this.timeout(300_000 + steps * 20_000);
    let docker: DockerEngine;
    let consul: TestConsul;

    before(async () => {
      [docker, consul] = await Promise.all([startDocker(), kind.start()]);
    });
    after(async () => {
      await Promise.all([docker?.stop(), consul?.stop()]);
    });

    it(`makes the catalog what Docker runs after ${steps} random steps (seed ${seed})`, async () => {
      const random = seeded(seed);
      const startRegistrator = () =>
        startRegistratorProcess([
          ...["--docker", docker.host, "--consul", consul.url, "--hostname", "host1"],
          ...["--compare-ms", "500", "--resync", "1", "--stop-grace", "2"],
        ]);
      const chaos = new Chaos({ docker, consul, random, startRegistrator });
      await chaos.start();
      try {
        while (chaos.steps.length < steps) {
          const left = steps - chaos.steps.length;
          const now = Math.min(left, 1 + Math.floor(random() * mostStepsAtOnce));
          for (let step = 0; step < now; step++) await chaos.step();
          await chaos.rest();
          await agreed(chaos);
        }
      } finally {
        await chaos.stop();
      }
    });
  });

/** Waits until the catalog and Docker agree. */
async function agreed(chaos: Chaos): Promise<void> {
  const deadline = performance.now() + settleMs;
  let difference: string | null;
  do {
    await new Promise((resolve) => setTimeout(resolve, 50));
    difference = await chaos.difference();
  } while (difference !== null && performance.now() < deadline);
  const last = chaos.steps.slice(-2 * mostStepsAtOnce).join("\n");
  expect(difference, `seed ${seed}, the last steps:\n${last}`).to.equal(null);
}
