/** Single peers taken out, let in again and weighed by hand over the admin API: on every gateway, and over restarts. */
import { expect } from "chai";
import type { PeerByHand } from "../../gateway/primary/index.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { type EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`peers by hand with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let other: TestGateway;
    let names = 0;

    before(async () => {
      scene = await Scene.open(kind);
      // A machine that is busy is no reason for a service to be unknown.
      const flags = ["--expose", "all", "--watch-timeout", "30s"];
      await scene.start({ flags: [...flags, "--admin-open"] });
      other = await TestGateway.start({ consul: scene.consul.url, workers: 1, flags });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await other?.stop();
      await scene?.close();
    });

    async function ask(method: string, path: string, body?: object, headers: object = {}) {
      const answer = await fetch(`http://127.0.0.1:${scene.gateway.adminPort}${path}`, {
        method,
        headers: { ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      return { status: answer.status, json: JSON.parse(text) };
    }
    async function pool(...origins: readonly EchoOrigin[]): Promise<string> {
      names += 1;
      const name = `pool${names}.example`;
      const servers = origins.map(({ server }) => server);
      const { json } = await ask("PUT", `/upstream/${name}?wait=60`, { servers });
      expect(json).to.deep.equal({ status: 200 });
      return name;
    }
    const addressOf = ({ port }: EchoOrigin) => `127.0.0.1:${port}`;
    const act = (name: string, origin: EchoOrigin, verb: string, body?: object) =>
      ask("POST", `/upstream/${name}/peer/${addressOf(origin)}/${verb}?wait=60`, body);
    /** Who answers, of every worker, `rounds` times each. */
    async function answering(host: string, rounds = 4): Promise<readonly string[]> {
      const workers = await scene.workers();
      const answers = [];
      for (let round = 0; round < rounds; round += 1)
        for (const prefix of workers.prefixes) answers.push(await workers.ask(prefix, { host }));
      return answers.map((answer) => echoOf(answer).origin);
    }
    /** What is explained of the first peer; a worker of a busy machine may be late to answer. */
    const firstExplained = (name: string) =>
      eventually("it is explained", async () => {
        const { status, json } = await ask("GET", `/explain?url=http://${name}/`);
        expect(status).to.equal(200);
        return json.outcome.shares[0].peers[0];
      });
    const byHand = async (name: string): Promise<readonly PeerByHand[]> =>
      (await scene.gateway.status()).peers.filter(({ upstream }) => upstream === name);

    it("a drained peer gets no new request in any worker from the answer on, and finishes what it has", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      const name = await pool(one, two);
      const running = [0, 1, 2, 3].map(() => scene.gateway.request({ host: name, path: "/wait" }));
      await until("both have some", () => one.waiting > 0 && two.waiting > 0);
      const drained = await act(name, one, "drain");
      expect(drained.json).to.deep.equal({
        status: 200,
        name,
        peer: addressOf(one),
        drained: true,
        weight: null,
      });
      expect(new Set(await answering(name))).to.deep.equal(new Set(["two"]));
      one.release();
      two.release();
      for (const answer of await Promise.all(running)) expect(answer.status).to.equal(200);
      await eventually("every worker says why it is out", async () => {
        const { json } = await ask("GET", `/upstreams?name=${name}`);
        const { workers } = json.upstreams[0].peers[0];
        expect(workers).to.have.length(2);
        for (const { state, reason } of workers)
          expect([state, reason]).to.deep.equal(["err", "drained: by admin API, 127.0.0.1"]);
      });
      expect((await firstExplained(name)).reason).to.match(/^drained: by/);
      expect(await byHand(name)).to.have.length(1);
      expect((await act(name, one, "enable")).json).to.include({ status: 200, drained: false });
      expect(new Set(await answering(name))).to.deep.equal(new Set(["one", "two"]));
      expect(await byHand(name)).to.deep.equal([]);
      expect((await ask("GET", `/peers/${name}`)).status).to.equal(404);
    });

    it("every gateway heeds it, and one that starts later, too", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      const name = await pool(one, two);
      await act(name, one, "drain");
      const heeds = (gateway: TestGateway) =>
        eventually("it asks the other peer alone", async () => {
          const { peers } = await gateway.status();
          expect(peers.map(({ upstream }) => upstream)).to.include(name);
          for (let each = 0; each < 6; each += 1)
            expect(echoOf(await gateway.request({ host: name })).origin).to.equal("two");
        });
      await heeds(other);
      const late = await TestGateway.start({ consul: scene.consul.url });
      try {
        await heeds(late);
      } finally {
        await late.stop();
      }
      await act(name, two, "drain");
      const none = await scene.gateway.request({ host: name });
      expect(none.status).to.equal(503);
    });

    it("a weight holds in the place of the document's, until it is its own again", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      const name = await pool(one, two);
      expect((await act(name, one, "weight", { weight: 3 })).json).to.include({ weight: 3 });
      const count = async () =>
        (await answering(name, 8)).filter((origin) => origin === "one").length / 16;
      expect(await count()).to.equal(0.75);
      expect(await firstExplained(name)).to.include({ weight: 3, reason: "weight 3 by hand" });
      // A new document changes nothing of it.
      await ask("PUT", `/upstream/${name}?wait=60`, { servers: [one.server, two.server], try: 3 });
      expect(await count()).to.equal(0.75);
      await act(name, one, "weight", { weight: null });
      expect(await count()).to.equal(0.5);
      for (const body of [{ weight: 0 }, { weight: 1001 }, { weight: "3" }, {}, undefined])
        expect((await act(name, one, "weight", body)).status).to.equal(400);
    });

    it("holds for a service, in every spelling and with a tag", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      names += 1;
      const name = `served${names}`;
      for (const origin of [one, two]) {
        const id = `${name}-${origin.name}`;
        await scene.writes.register({ id, name, port: origin.port, tags: ["v1"] });
        scene.later(() => scene.writes.deregister(id));
      }
      await eventually("both answer", async () => {
        expect(new Set(await answering(name, 2))).to.deep.equal(new Set(["one", "two"]));
        expect(new Set(await answering(`v1.${name}.service.consul`, 2)).size).to.equal(2);
      });
      const drained = await act(`${name}.service.consul`, one, "drain");
      expect(drained.json).to.include({ status: 200, name });
      expect(new Set(await answering(name))).to.deep.equal(new Set(["two"]));
      expect(new Set(await answering(`v1.${name}.service.consul`))).to.deep.equal(new Set(["two"]));
      await act(name, one, "enable");
      await act(name, two, "weight", { weight: 3 });
      const answers = await answering(name, 8);
      expect(answers.filter((origin) => origin === "two")).to.have.length(12);
    });

    it("what is said of one upstream says nothing of another with the same peer", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      const [first, second] = [await pool(one, two), await pool(one, two)];
      await act(first, one, "drain");
      expect(new Set(await answering(first))).to.deep.equal(new Set(["two"]));
      expect(new Set(await answering(second))).to.deep.equal(new Set(["one", "two"]));
    });

    it("twenty at once by two gateways all hold, with a history and a way back", async () => {
      const origin = await scene.origin("one");
      names += 1;
      const name = `many${names}.example`;
      const ports = Array.from({ length: 20 }, (_, at) => 10_000 + at);
      const servers = [origin.server, ...ports.map((port) => ({ host: "127.0.0.2", port }))];
      await ask("PUT", `/upstream/${name}?wait=60`, { servers });
      const credentials = await other.credentials();
      await eventually("the other gateway knows the upstream", async () =>
        expect((await other.admin(`/upstreams?name=${name}`)).status).to.equal(200),
      );
      const outcomes = await Promise.all(
        ports.map((port, at) => {
          const path = `/upstream/${name}/peer/127.0.0.2:${port}/drain?wait=60`;
          if (at % 2 === 0) return ask("POST", path);
          const url = `http://127.0.0.1:${other.adminPort}${path}`;
          return fetch(url, { method: "POST", headers: credentials });
        }),
      );
      await scene.gateway.statusWhen(
        "it has heard of those of the other",
        ({ peers }) => peers.filter(({ upstream }) => upstream === name).length === 20,
      );
      await scene.gateway.caughtUp();
      expect(outcomes.map(({ status }) => status)).to.deep.equal(ports.map(() => 200));
      const { json } = await ask("GET", `/peers/${name}`);
      expect(Object.keys(JSON.parse(json.source))).to.have.length(20);
      expect(new Set(await answering(name))).to.deep.equal(new Set(["one"]));
      const { json: history } = await ask("GET", `/peers/${name}/history`);
      expect(history.versions).to.have.length(20);
      expect((await ask("POST", `/peers/${name}/rollback?wait=60`)).status).to.equal(200);
      expect(await byHand(name)).to.have.length(19);
      expect((await ask("DELETE", `/peers/${name}?wait=60`)).status).to.equal(200);
      expect(await byHand(name)).to.deep.equal([]);
    });

    it("are refused where there is no such peer, and told of where there is none any more", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      const name = await pool(one);
      expect((await act(name, two, "drain")).status).to.equal(404);
      expect((await act("nothing.example", two, "drain")).status).to.equal(404);
      for (const bad of [
        "x",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "[::1:1",
        "%20:1",
        "a%2Fb:1",
      ])
        expect((await ask("POST", `/upstream/${name}/peer/${bad}/drain`)).status, bad).to.be.oneOf([
          400, 404,
        ]);
      expect((await ask("POST", `/upstream/${name}/peer/${addressOf(one)}/drop`)).status).to.equal(
        404,
      );
      await act(name, one, "drain");
      await ask("PUT", `/upstream/${name}?wait=60`, { servers: [two.server] });
      await scene.gateway.statusWhen("there is a warning by key", ({ warnings }) =>
        warnings.some(
          ({ key, warning }) =>
            key === `sluice/peers/${name}` && warning === `${addressOf(one)}: is no peer of it now`,
        ),
      );
      expect((await act(name, one, "enable")).status).to.equal(200);
    });

    it("the command does the same, by somebody's name", async () => {
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      const name = await pool(one, two);
      const sluice = (...args: readonly string[]) =>
        runSluice(["upstream", ...args, "--admin", `127.0.0.1:${scene.gateway.adminPort}`]);
      const drained = await sluice("drain", name, addressOf(one), "--by", "ada");
      expect([drained.status, drained.stderr]).to.deep.equal([0, ""]);
      // Behind it, what it could not wait for on a busy machine.
      expect(drained.stdout.split("\n")[0]).to.equal(`${name}: ${addressOf(one)} is drained`);
      await eventually("it is by that name", async () =>
        expect((await byHand(name)).map(({ by }) => by)).to.deep.equal(["ada"]),
      );
      const weighed = await sluice("weight", name, addressOf(two), "5", "--json");
      const told = JSON.parse(weighed.stdout);
      expect(told.status, weighed.stdout).to.be.oneOf([200, 202]);
      expect(told.weight).to.equal(5);
      expect((await sluice("weight", name, addressOf(two), "own")).status).to.equal(0);
      expect((await sluice("enable", name, addressOf(one))).status).to.equal(0);
      await eventually("nothing is by hand", async () =>
        expect(await byHand(name)).to.deep.equal([]),
      );
      const wrong = await sluice("drain", name, "10.9.9.9:1");
      expect([wrong.status, wrong.stdout]).to.deep.equal([1, ""]);
      expect(wrong.stderr).to.contain("has no peer 10.9.9.9:1");
    });
  });
