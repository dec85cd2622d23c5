/** How upstream documents say that peers are picked, in a whole gateway. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { type EchoOrigin, echoOf } from "../support/echo-origin.ts";
import type { WorkerConnections } from "../support/worker-connections.ts";
import { Scene } from "./scene.ts";

const host = "balanced.example";
const [kind] = consulKinds();

describe("balancing of a gateway", function () {
  this.timeout(180_000);
  let scene: Scene;
  let workers: WorkerConnections;
  let origins: readonly EchoOrigin[];

  before(async () => {
    if (kind === undefined) throw new Error("there is no Consul");
    scene = await Scene.open(kind);
    await scene.start();
  });
  beforeEach(async () => {
    workers = await scene.workers();
    origins = await Promise.all(Array.from({ length: 8 }, (_, at) => scene.origin(`origin-${at}`)));
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  async function write(choice: object, without = -1): Promise<void> {
    const servers = origins.filter((_, at) => at !== without).map((origin) => origin.server);
    await scene.writes.put("upstreams/many", { servers, ...choice });
    await scene.writes.put(`hosts/${host}`, { paths: { "/": "many" } });
    await scene.gateway.caughtUp();
  }

  const originOf = async (prefix: string, headers: Readonly<Record<string, string>>) =>
    echoOf(await workers.ask(prefix, { host, headers })).origin;

  it("a key stays with its peer in every worker, and moves only when its peer leaves", async () => {
    await write({ policy: "hash", hash_by: { header: "X-User" } });
    const [first = "", second = ""] = workers.prefixes;
    const homes = new Map<string, string>();
    for (let at = 0; at < 40; at += 1) {
      const headers = { "x-user": `user ${at}` };
      const origin = await originOf(first, headers);
      homes.set(headers["x-user"], origin);
      expect(await originOf(second, headers)).to.equal(origin);
    }
    expect(new Set(homes.values()).size).to.be.above(4);
    await write({ policy: "hash", hash_by: { header: "X-User" } }, 0);
    for (const [user, home] of homes) {
      const origin = await originOf(first, { "x-user": user });
      if (home === "origin-0") expect(origin).to.not.equal(home);
      else expect(origin, user).to.equal(home);
    }
  });
});
