/** `GET /upstreams` and `GET /hosts`, and their commands: what workers know of peers and of requests. */
import { expect } from "chai";
import type { HostsAnswer, UpstreamsAnswer } from "../../gateway/primary/index.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`what workers know, with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    const hosts = async (query = "") => {
      const { status, body } = await scene.gateway.admin(`/hosts${query}`);
      expect(status, body).to.equal(200);
      return JSON.parse(body) as HostsAnswer;
    };

    /** `sluice WHAT NAME` for the gateway. */
    const sluice = (...args: readonly string[]) =>
      runSluice([...args, "--admin", `127.0.0.1:${scene.gateway.adminPort}`]);

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
        expect(workers.some(({ state }) => state === "err")).to.equal(true);
        expect(answer.unanswered).to.deep.equal([]);
        return answer;
      });
      const { workers } = await gateway.status();
      expect(shown.upstreams).to.have.length(1);
      const [upstream] = shown.upstreams;
      expect(upstream).to.include({ kind: "upstream", key: "half-dead", name: "half-dead" });
      for (const peer of upstream?.peers ?? [])
        expect(peer.workers.map(({ worker }) => worker)).to.deep.equal(workers.map(({ id }) => id));
      const down = upstream?.peers[1]?.workers.filter(({ state }) => state === "err") ?? [];
      expect(down.some(({ fails }) => fails > 0)).to.equal(true);
      for (const { downUntil } of down) expect(Date.parse(downUntil ?? "")).to.be.above(Date.now());
    });

    it("shows all upstreams without a name, and answers 404 for a name that nothing has", async () => {
      const names = (await upstreams()).upstreams.map(({ name }) => name);
      expect(names).to.include("home");
      expect((await scene.gateway.admin("/upstreams?name=nobody")).status).to.equal(404);
      const refused = await scene.gateway.admin("/upstreams?nmae=home");
      expect([refused.status, refused.body]).to.match(/400,.*nothing else/);
    });

    it("shows the rules of a host, its script with its counters, and how its requests ended", async () => {
      const { gateway, writes } = scene;
      const name = "both.example";
      const text = `export default (request) => {
        if (request.method === "DELETE") return deny(403);
        if (request.path === "/throws") throw new Error("on purpose");
      };`;
      await writes.put(`hosts/${name}`, {
        paths: { "/": { split: { home: 3, spare: 0 } }, "/x": "home" },
      });
      await writes.put(`scripts/${name}`, text);
      scene.later(() => Promise.all([`hosts/${name}`, `scripts/${name}`].map(writes.remove)));
      await eventually("both are there", async () => {
        const [host] = (await hosts(`?name=${name}`)).hosts;
        expect(host?.document).not.to.equal(null);
        expect(host?.script?.version).to.be.a("string");
      });
      await gateway.caughtUp();
      for (const path of ["/", "/x", "/throws"]) await gateway.request({ host: name, path });
      await gateway.request({ host: name, method: "DELETE" });
      await eventually("every worker has reported", async () => {
        const answer = await hosts(`?name=${name.toUpperCase()}`);
        expect(answer.unanswered).to.deep.equal([]);
        const [host] = answer.hosts;
        expect(answer.hosts).to.have.length(1);
        expect(host?.document?.paths.map(({ prefix }) => prefix)).to.have.members(["/", "/x"]);
        expect(host?.script).to.include({ calls: 4, errors: 1, outOfService: null });
        expect(host?.script?.lastError).to.contain("on purpose");
        expect(host?.requests).to.deep.include({
          total: 4,
          byStatus: { "2xx": 2, "4xx": 1, "5xx": 1 },
          byUpstream: { home: 2, none: 2 },
        });
        expect(host?.requests.meanSeconds).to.be.above(0);
      });
    });

    it("shows the wildcard that decides for a host, and answers 404 for a host that nobody has", async () => {
      const { writes, gateway } = scene;
      await writes.put("hosts/*.wild.example", { paths: { "/": "home" } });
      scene.later(() => writes.remove("hosts/*.wild.example"));
      await eventually("it is found", async () => {
        const [host] = (await hosts("?name=a.wild.example")).hosts;
        expect(host?.name).to.equal("*.wild.example");
      });
      const names = (await hosts()).hosts.map(({ name }) => name);
      expect(names).to.include.members([homeHost, "*.wild.example"]);
      expect((await gateway.admin("/hosts?name=nobody.example")).status).to.equal(404);
    });

    it("is printed by the commands, for people and for programs", async () => {
      const people = await sluice("upstream", "home");
      expect(people.stdout, people.stderr).to.match(/^home \(upstream\)\n {2}peer +level +weight/);
      expect(people.stdout).to.contain(`127.0.0.1:${scene.home.port}`);
      const programs = await sluice("upstream", "home", "--json");
      expect(JSON.parse(programs.stdout)).to.have.nested.property("upstreams[0].name", "home");
      const host = await sluice("host", homeHost);
      expect(host.stdout, host.stderr).to.match(/^home\.example\n {2}\/ +home\n {2}requests +\d/);
      const missing = await sluice("host", "nobody.example");
      expect(missing).to.include({ status: 1, stdout: "" });
      expect(missing.stderr).to.match(
        /^sluice: the gateway answers 404: nobody\.example: no doc.*\n$/,
      );
    });

    it("names a worker that stands still, and answers without it", async () => {
      const { gateway } = scene;
      const { stopped, missing, shown } = await eventually("it is asked in time", async () => {
        const [worker] = (await gateway.caughtUp()).workers;
        if (worker === undefined) throw new Error("two workers");
        scene.suspend(worker.pid);
        const asked = upstreams("?name=home");
        expect((await gateway.admin("/healthz")).status).to.equal(200);
        const { unanswered, upstreams: all } = await asked;
        const found = unanswered.find(({ pid }) => pid === worker.pid);
        // The machine was so slow that the gateway had replaced it before.
        if (found === undefined) throw new Error("it was not asked");
        return { stopped: worker, missing: found, shown: all };
      });
      // "ended": the gateway took it for stalled meanwhile.
      expect(["late", "ended"]).to.include(missing.why);
      const known = shown.flatMap(({ peers }) => peers.flatMap(({ workers: all }) => all));
      expect(known.map(({ worker }) => worker)).not.to.include(stopped.id);
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
      // The gateway may have heard of its end before it asked, and the other one may be late on a busy machine.
      for (const { worker, why } of unanswered)
        expect(why).to.be.oneOf(worker === victim.id ? ["ended", "late"] : ["late"]);
      await gateway.statusWhen("it is replaced", ({ notReady }) => notReady === null);
      await eventually("all answer", async () =>
        expect((await upstreams("?name=home")).unanswered).to.deep.equal([]),
      );
    });
  });
