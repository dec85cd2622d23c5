/** `GET /upstreams`: the live state of every peer, as each worker has it. */
import { expect } from "chai";
import type { UpstreamsAnswer } from "../../gateway/primary/upstreams.ts";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`live state of upstreams with ${kind.name}`, function () {
    this.timeout(40_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    const upstreams = async (query = "") => {
      const { status, body } = await scene.gateway.admin(`/upstreams${query}`);
      expect(status, body).to.equal(200);
      return JSON.parse(body) as UpstreamsAnswer;
    };

    it("shows each peer in each worker, and a failure in the worker that met it", async () => {
      const { gateway, writes, home } = scene;
      const dead = { host: "127.0.0.1", port: 1, max_fails: 1, fail_timeout: 600 };
      await writes.put("upstreams/half-dead", { servers: [home.server, dead] });
      await writes.put("hosts/half-dead.example", { paths: { "/": "half-dead" } });
      scene.later(() => writes.remove("hosts/half-dead.example"));
      scene.later(() => writes.remove("upstreams/half-dead"));
      const shown = await eventually("a worker has met the dead peer", async () => {
        await gateway.request({ host: "half-dead.example" });
        const answer = await upstreams("?name=half-dead");
        const workers = answer.upstreams[0]?.peers[1]?.workers ?? [];
        expect(workers.some(({ state }) => state === "down")).to.equal(true);
        return answer;
      });
      const { workers } = await gateway.status();
      expect(shown.unanswered).to.deep.equal([]);
      expect(shown.upstreams).to.have.length(1);
      const [upstream] = shown.upstreams;
      expect(upstream).to.include({ kind: "upstream", key: "half-dead", name: "half-dead" });
      for (const peer of upstream?.peers ?? [])
        expect(peer.workers.map(({ worker }) => worker)).to.deep.equal(workers.map(({ id }) => id));
      const down = upstream?.peers[1]?.workers.filter(({ state }) => state === "down") ?? [];
      for (const { fails, downUntil } of down) {
        expect(fails).to.be.at.least(1);
        expect(Date.parse(downUntil ?? "")).to.be.above(Date.now());
      }
    });

    it("shows all upstreams without a name, and answers 404 for a name that nothing has", async () => {
      const names = (await upstreams()).upstreams.map(({ name }) => name);
      expect(names).to.include("home");
      expect((await scene.gateway.admin("/upstreams?name=nobody")).status).to.equal(404);
      const refused = await scene.gateway.admin("/upstreams?nmae=home");
      expect([refused.status, refused.body]).to.match(/400,.*only name is known/);
    });

    it("names a worker that stands still, and keeps nobody waiting for it meanwhile", async () => {
      const { gateway } = scene;
      const { workers } = await gateway.status();
      const [stopped, other] = workers;
      if (stopped === undefined || other === undefined) throw new Error("two workers");
      process.kill(stopped.pid, "SIGSTOP");
      scene.later(() => process.kill(stopped.pid, "SIGCONT"));
      const order: string[] = [];
      const asked = upstreams("?name=home").then((answer) => {
        order.push("upstreams");
        return answer;
      });
      const probe = await gateway.admin("/healthz");
      order.push("healthz");
      expect(probe.status).to.equal(200);
      const { unanswered, upstreams: shown } = await asked;
      expect(order).to.deep.equal(["healthz", "upstreams"]);
      // "ended": the machine was so slow that the gateway took it for stalled.
      expect(unanswered.map(({ worker, pid }) => [worker, pid])).to.deep.equal([
        [stopped.id, stopped.pid],
      ]);
      expect(["late", "ended"]).to.include(unanswered[0]?.why);
      expect(shown[0]?.peers[0]?.workers.map(({ worker }) => worker)).to.deep.equal([other.id]);
    });

    it("counts a worker that is killed meanwhile as one that has not answered", async () => {
      const { gateway } = scene;
      const { workers } = await gateway.caughtUp();
      const [victim] = workers;
      if (victim === undefined) throw new Error("two workers");
      process.kill(victim.pid, "SIGSTOP");
      const asked = upstreams("?name=home");
      process.kill(victim.pid, "SIGKILL");
      const { unanswered } = await asked;
      // The gateway may have heard of its end before it asked.
      for (const { worker } of unanswered) expect(worker).to.equal(victim.id);
      await gateway.statusWhen("it is replaced", ({ notReady }) => notReady === null);
      expect((await upstreams("?name=home")).unanswered).to.deep.equal([]);
    });
  });
