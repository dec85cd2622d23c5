/** Plugins of host documents, from Consul KV to every worker of a gateway. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, type LogRecord, TestGateway } from "../support/gateway.ts";
import { WorkerConnections } from "../support/worker-connections.ts";
import { homeHost, Scene } from "./scene.ts";

const refused = (status: number, code: string) => (answer: GatewayAnswer) => {
  expect(answer.status).to.equal(status);
  expect(answer.body).to.contain(code);
};
const served = (answer: GatewayAnswer) => expect(echoOf(answer).origin).to.equal("home");

for (const kind of consulKinds())
  describe(`plugins of a gateway with ${kind.name}`, function () {
    this.timeout(300_000);
    let scene: Scene;
    let workers: WorkerConnections;
    let hosts = 0;
    // A machine that is busy is no reason for a script to fail.
    const flags = ["--trusted-proxies", "127.0.0.1", "--script-timeout", "1s"];

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start({ flags });
    });
    beforeEach(async () => {
      workers = await scene.workers();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    /** A host of its own with these plugins and everything routed to the origin `home`. */
    async function hostWith(plugins: readonly unknown[], paths: object = {}): Promise<string> {
      hosts += 1;
      const host = `plugins${hosts}.example`;
      await scene.writes.put(`hosts/${host}`, { plugins, paths: { "/": "home", ...paths } });
      return host;
    }

    /**
     * What came of `run` in a gateway of its own whose workers heard from their primary all the time. On a busy machine
     * it may be silent for so long that they count by themselves, as they then say.
     */
    async function inTouch<Result>(
      run: (workers: WorkerConnections) => Promise<Result>,
    ): Promise<Result> {
      for (;;) {
        const gateway = await TestGateway.start({ consul: scene.consul.url, flags });
        const own = await WorkerConnections.open(gateway, homeHost);
        const result = await run(own).finally(async () => {
          own.close();
          await gateway.stop();
        });
        const isAlone = ({ msg }: LogRecord) => msg.includes("counts rate limits by itself");
        if (!gateway.records.some(isAlone)) return result;
      }
    }

    const from = (address: string) => ({ "x-forwarded-for": address });

    it("ipDeny keeps clients out by address, and ipAllow lets no others in", async () => {
      const host = await hostWith([
        { ipAllow: { addresses: ["192.0.2.0/24", "2001:db8::/32"] } },
        { ipDeny: { addresses: ["192.0.2.66", "2001:db8:bad::/48"] } },
      ]);
      await workers.all("some are in", { host, headers: from("192.0.2.1") }, served);
      const ask = (address: string) => ({ host, headers: from(address) });
      await workers.all("IPv6 is in", ask("2001:db8:1::5"), served);
      await workers.all("one is out", ask("192.0.2.66"), refused(403, "ip_denied"));
      await workers.all("a block is out", ask("2001:db8:bad::1"), refused(403, "ip_denied"));
      await workers.all("others are out", ask("198.51.100.1"), refused(403, "ip_not_allowed"));
      await workers.all("so is the proxy itself", { host }, refused(403, "ip_not_allowed"));
    });

    it("redirect sends clients elsewhere, with their path and query", async () => {
      const host = await hostWith([], {
        "/old": { upstream: "home", plugins: [{ redirect: { to: "https://new.example$path" } }] },
        "/fixed": {
          upstream: "home",
          plugins: [{ redirect: { to: "https://new.example/?from=old", status: 308 } }],
        },
      });
      const to = (status: number, location: string) => (answer: GatewayAnswer) => {
        expect(answer.status).to.equal(status);
        expect(answer.headers.location).to.equal(location);
        expect(answer.body).to.equal("");
      };
      const ask = (path: string) => ({ host, path });
      const keeps = to(302, "https://new.example/old/$&x?y=1");
      await workers.all("path and query are kept", ask("/old/$&x?y=1"), keeps);
      const fixed = to(308, "https://new.example/?from=old");
      await workers.all("what says all is left alone", ask("/fixed/x?y=1"), fixed);
      await workers.all("other paths are served", ask("/other"), served);
    });

    it("headers are set, added and taken away on both ways", async () => {
      const host = await hostWith([
        {
          headers: {
            request: { set: { "X-Team": "shop", "X-Old": "no more" }, remove: ["X-Secret"] },
            response: {
              set: { "X-Frame-Options": "DENY" },
              add: { "Set-Cookie": "seen=1" },
              remove: ["X-Origin"],
            },
          },
        },
      ]);
      const asked = { host, headers: { "x-secret": "1", "x-old": "yes" } };
      await workers.all("all are changed", asked, (answer) => {
        expect(answer.headers).to.include({ "x-frame-options": "DENY" });
        expect(answer.headers["set-cookie"]).to.deep.equal(["seen=1"]);
        expect(answer.headers).to.not.have.property("x-origin");
        const { headers } = JSON.parse(answer.body);
        expect(headers).to.include({ "x-team": "shop", "x-old": "no more" });
        expect(headers).to.not.have.property("x-secret");
      });
    });

    it("a rate limit holds over all workers together", async () => {
      // Nothing is filled up in the time of a test.
      const limit = { rateLimit: { rate: 1, per: "hour", burst: 10 } };
      const host = await hostWith([limit], { "/free": { upstream: "home" } });
      const pair = ["2001:db8::1", "2001:db8::2"] as const;
      const { outcomes, ofOther, ofNetwork } = await inTouch(async (own) => {
        const ask = (prefix: string, address: string) =>
          own.ask(prefix, { host, headers: from(address) });
        const outcomes: GatewayAnswer[] = [];
        for (let round = 0; round < 15; round += 1)
          outcomes.push(...(await Promise.all(own.prefixes.map((one) => ask(one, "192.0.2.9")))));
        const ofOther: GatewayAnswer[] = [];
        for (const prefix of own.prefixes) ofOther.push(await ask(prefix, "192.0.2.10"));
        let ofNetwork = 0;
        for (let at = 0; at < 24; at += 1) {
          const prefix = own.prefixes[at % own.prefixes.length] ?? "";
          const { status } = await ask(prefix, pair[at % 3 === 0 ? 0 : 1]);
          if (status === 200) ofNetwork += 1;
        }
        return { outcomes, ofOther, ofNetwork };
      });
      const passed = outcomes.filter(({ status }) => status === 200);
      const late = outcomes.filter(({ status }) => status === 429);
      expect(passed.length + late.length).to.equal(outcomes.length);
      expect(passed).to.have.lengthOf(10);
      for (const answer of late) {
        refused(429, "rate_limited")(answer);
        expect(Number(answer.headers["retry-after"])).to.be.within(1, 3_600);
      }
      // Others have a bucket of their own, and each client in an IPv6 network has the same.
      for (const answer of ofOther) served(answer);
      expect(ofNetwork).to.equal(10);
    });

    it("a rate limit counts by a header or by the host", async () => {
      const byKey = { rate: 1, per: "hour", burst: 2, by: { header: "X-Api-Key" } };
      const host = await hostWith([{ rateLimit: byKey }]);
      const whole = await hostWith([{ rateLimit: { rate: 1, per: "hour", by: "host" } }]);
      const keys = [{ "x-api-key": "a" }, { "x-api-key": "b".repeat(2_000) }, {}];
      const { ofKeys, ofHost } = await inTouch(async (own) => {
        const [prefix = ""] = own.prefixes;
        const ofKeys: number[][] = [];
        for (const headers of keys) {
          const list: number[] = [];
          while (list.length < 3) list.push((await own.ask(prefix, { host, headers })).status);
          ofKeys.push(list);
        }
        const ofHost: number[] = [];
        for (const address of ["192.0.2.1", "192.0.2.2"])
          ofHost.push((await own.ask(prefix, { host: whole, headers: from(address) })).status);
        return { ofKeys, ofHost };
      });
      expect(ofKeys).to.deep.equal(keys.map(() => [200, 200, 429]));
      expect(ofHost).to.deep.equal([200, 429]);
    });

    it("plugins run in order, around the script where it is named, and those of the path last", async () => {
      const add = (name: string) => ({
        headers: { request: { set: { [`x-${name}`]: "1" } }, response: { add: { "x-way": name } } },
      });
      const host = await hostWith([add("before"), "script", add("behind")], {
        "/special": { upstream: "home", plugins: [add("path")] },
      });
      await scene.writes.put(
        `scripts/${host}`,
        `export default function (request) {
          request.headers.set("x-script", [request.headers.get("x-before"), request.headers.get("x-behind")].join());
          if (request.path === "/move") request.path = "/special/moved";
          if (request.path === "/stop") return deny(418, "stopped");
        }`,
      );
      await workers.all("the script runs between them", { host, path: "/" }, (answer) => {
        const { headers } = JSON.parse(answer.body);
        expect(headers).to.include({ "x-before": "1", "x-behind": "1", "x-script": "1," });
        expect(headers).to.not.have.property("x-path");
        expect(answer.headers["x-way"]).to.equal("behind, before");
      });
      await workers.all("the script's path counts", { host, path: "/move" }, (answer) => {
        expect(JSON.parse(answer.body).headers).to.include({ "x-path": "1" });
        expect(answer.headers["x-way"]).to.equal("path, behind, before");
      });
      await workers.all("its answer stays as it is", { host, path: "/stop" }, (answer) => {
        expect(answer.status).to.equal(418);
        expect(answer.headers).to.not.have.property("x-way");
      });
    });

    it("a wildcard's plugins hold for the hosts that it stands for", async () => {
      const deny = [{ ipDeny: { addresses: ["192.0.2.0/24"] } }];
      await scene.writes.put("hosts/*.walled.example", { plugins: deny, paths: { "/": "home" } });
      await scene.writes.put("hosts/own.walled.example", { paths: { "/": "home" } });
      const headers = from("192.0.2.1");
      await workers.all(
        "it holds",
        { host: "a.walled.example", headers },
        refused(403, "ip_denied"),
      );
      await workers.all("not for its own", { host: "own.walled.example", headers }, served);
    });

    it("a mistake is refused by key and field, and what was there stays", async () => {
      const deny = { ipDeny: { addresses: ["192.0.2.0/24"] } };
      const host = await hostWith([deny]);
      const headers = from("192.0.2.1");
      await workers.all("it holds", { host, headers }, refused(403, "ip_denied"));
      const key = `sluice/hosts/${host}`;
      const mistakes: readonly (readonly [plugins: unknown, told: string])[] = [
        [[{ ipdeny: {} }], "plugins[0]"],
        [[deny, { rateLimit: { per: "second" } }], "plugins[1].rateLimit.rate"],
        [[{ ipDeny: { addresses: ["10.0.0"] } }], '"10.0.0" is not an address or a CIDR block'],
        [[{ headers: { request: { set: { Host: "a" } } } }], "Host"],
        [[{ headers: {}, compress: {} }], "plugins[0]"],
        [["script", "script"], "twice"],
      ];
      for (const [plugins, told] of mistakes) {
        await scene.writes.put(`hosts/${host}`, { plugins, paths: { "/": "home" } });
        await scene.gateway.statusWhen(`it is told: ${told}`, (now) =>
          now.refused.some((one) => one.key === key && one.error.includes(told)),
        );
        for (const prefix of workers.prefixes)
          refused(403, "ip_denied")(await workers.ask(prefix, { host, headers }));
      }
    });
  });
