/**
 * What Sluice relies on in Consul's HTTP API, written once and run against the embedded agent and against
 * a real Consul: it holds the two together.
 */
import { consulKinds, type TestConsul } from "../support/consul.ts";
import { agentContract } from "./agent.ts";
import { ConsulApi } from "./api.ts";
import { blockingContract } from "./blocking.ts";
import { catalogContract } from "./catalog.ts";
import { checksContract } from "./checks.ts";
import { kvContract } from "./kv.ts";
import { restartContract } from "./restart.ts";
import { sessionsContract } from "./sessions.ts";

for (const { name, start } of consulKinds()) {
  describe(`the contract with Consul, kept by the ${name}`, function () {
    this.timeout(300_000);
    let running: TestConsul | null = null;
    const consul = () => {
      if (running === null) throw new Error("not started");
      return new ConsulApi(running.url);
    };

    before(async () => {
      running = await start();
    });

    after(() => running?.stop());

    describe("key/value store", () => kvContract(consul));
    describe("blocking queries", () => blockingContract(consul));
    describe("services of an agent", () => agentContract(consul));
    describe("running checks", () => checksContract(consul));
    describe("catalog and health", () => catalogContract(consul));
    describe("sessions and locks", () => sessionsContract(consul));
    describe("restart", () => restartContract(start));
  });
}
