/** The life of scripts over two gateways on one Consul: refused, rolled out, taken back, remembered. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type History, versionOf } from "../../gateway/releases/index.ts";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { type GatewayAnswer, runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const says = (text: string, more = "") =>
  `${more}\nexport default () => respond({ body: "${text}" });`;
/** Fails for every request whose path is /fail. */
const failsAt = (text: string, more = "") => `${more}
  export default function (request) {
    if (request.path === "/fail") throw new Error("${text} is broken");
    return respond({ body: "${text}" });
  }`;

/**
 * V8 would end a loop. But a worker gives up after two seconds what it cannot get out of, and here that is sooner
 * than the time limit.
 */
const stall = "for (;;);";
const patient = ["--script-timeout", "30s"];
/** From that time on a worker that loads it does not come back. */
const stallsFrom = (time: number) => `if (Date.now() > ${time}) { ${stall} }`;

for (const kind of consulKinds())
  describe(`the life of a script on two gateways with ${kind.name}`, function () {
    this.timeout(60_000);
    let scene: Scene;
    let gateways: TestGateway[];
    let folder: string;
    let hosts = 0;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "sluice-life-"));
      scene = await Scene.open(kind);
      gateways = await Promise.all([start(), start()]);
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const start = () => TestGateway.start({ consul: scene.consul.url, flags: patient });
    const newHost = () => {
      hosts += 1;
      return `life${hosts}.example`;
    };
    const put = (host: string, text: string) => scene.writes.put(`scripts/${host}`, text);
    const ask = (gateway: TestGateway, host: string, user = "ada", path = "/") =>
      gateway.request({ host, path, headers: { "x-user": user } });

    /** On every gateway, until `accept` does not throw for its answer. */
    const everywhere = (what: string, host: string, accept: (answer: GatewayAnswer) => void) =>
      Promise.all(
        gateways.map((gateway) => eventually(what, async () => accept(await ask(gateway, host)))),
      );
    const says200 = (text: string) => (answer: GatewayAnswer) =>
      expect(answer).to.include({ status: 200, body: text });

    async function key(name: string): Promise<unknown> {
      const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/${name}?raw`);
      return answer.status === 404 ? null : JSON.parse(await answer.text());
    }
    const historyOf = async (host: string): Promise<History> =>
      ((await key(`history/scripts/${host}`)) as { versions: History } | null)?.versions ?? [];
    const outcomes = async (host: string) => (await historyOf(host)).map(({ outcome }) => outcome);
    const statusOf = async (gateway: TestGateway, host: string) =>
      (await gateway.status()).scripts.find((script) => script.host === host);

    /** Until this text is the script in every worker of both. */
    async function hasEverywhere(host: string, text: string): Promise<void> {
      for (const gateway of gateways) {
        await eventually("it is live", async () =>
          expect((await statusOf(gateway, host))?.version).to.equal(versionOf(text)),
        );
        await gateway.caughtUp();
      }
    }

    it("a version that fails its own tests goes live nowhere, and both gateways say which case", async () => {
      const host = newHost();
      await put(host, says("good"));
      await everywhere("it is live", host, says200("good"));
      const cases = `export const tests = [{ name: "is denied", expect: { deny: 403 } }];`;
      await put(host, says("bad", cases));
      for (const gateway of gateways) {
        const { refused } = await gateway.statusWhen("it is refused", (now) =>
          now.refused.some((one) => one.key === `sluice/scripts/${host}`),
        );
        const found = refused.find((one) => one.key === `sluice/scripts/${host}`);
        expect(found).to.deep.include({
          line: 1,
          test: {
            name: "is denied",
            expected: '{"deny":{"status":403}}',
            actual: '{"respond":{"status":200,"body":"bad","headers":{}}}',
          },
        });
        says200("good")(await ask(gateway, host));
        const told = gateway.records.filter(
          ({ key: of, msg }) => of === `sluice/scripts/${host}` && /is refused/.test(msg),
        );
        expect(told).to.have.lengthOf(1);
        expect(told[0]).to.deep.include({ test: found && "test" in found ? found.test : null });
      }
      await eventually("the history says so, once", async () => {
        const history = await historyOf(host);
        expect(history.map(({ outcome }) => outcome)).to.deep.equal(["refused", "live"]);
        expect(history[0]?.detail).to.contain('test "is denied": expected');
      });
      await put(host, says("better", `export const tests = [{ expect: { respond: 200 } }];`));
      await everywhere("a good one follows", host, says200("better"));
    });

    it("a gateway that starts while a refused version is in KV serves the last good one", async () => {
      const host = newHost();
      await put(host, says("good"));
      await everywhere("it is live", host, says200("good"));
      await eventually("it is remembered", async () =>
        expect(await outcomes(host)).to.deep.equal(["live"]),
      );
      await put(host, "export default () => {");
      await eventually("it is refused", async () =>
        expect(await outcomes(host)).to.deep.equal(["refused", "live"]),
      );
      const third = await start();
      scene.later(() => third.stop());
      // Until the source in KV is examined and refused, this host alone answers 503.
      await eventually("it serves the good one", async () =>
        says200("good")(await ask(third, host)),
      );
    });

    it("a rollout widens step by step, the same on both gateways, and a restart continues it", async () => {
      const host = newHost();
      await put(host, says("old"));
      await everywhere("the old one is live", host, says200("old"));
      const rollout = `export const rollout = { percent: 20, steps: ["6s", "6s"], by: "x-user" };`;
      await put(host, says("new", rollout));
      const users = Array.from({ length: 60 }, (_, at) => `user-${at}`);
      const who = async (gateway: TestGateway) => {
        const got = await Promise.all(users.map((user) => ask(gateway, host, user)));
        return users.filter((_, at) => got[at]?.body === "new");
      };
      let first: string[] = [];
      await eventually("both gateways give it to the same users", async () => {
        const [one, other] = await Promise.all(gateways.map(who));
        expect(one).to.deep.equal(other);
        expect(one?.length).to.be.within(3, 25);
        first = one ?? [];
      });
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      const status = await eventually("the calls of both are counted", async () => {
        const found = await statusOf(gateway, host);
        expect(found?.trial?.calls).to.be.above(0);
        expect(found?.calls).to.be.above(0);
        return found;
      });
      expect(status?.life.rollout?.percent).to.be.oneOf([20, 60]);
      await gateway.stop();
      const again = await start();
      gateways[0] = again;
      const life = (await key(`live/${host}`)) as { next: { startedAt: string } | null };
      expect(life.next?.startedAt ?? status?.life.rollout?.startedAt).to.equal(
        status?.life.rollout?.startedAt,
      );
      const continued = await who(again);
      expect(first.filter((user) => !continued.includes(user))).to.deep.equal([]);
      for (const one of gateways) {
        await eventually("everybody gets it", async () =>
          expect(await who(one)).to.have.lengthOf(users.length),
        );
      }
      await eventually("the history follows", async () =>
        expect(await outcomes(host)).to.deep.equal(["live", "replaced"]),
      );
      const told = gateways.flatMap(({ records }) =>
        records.filter(
          ({ key: of, msg }) => of === `sluice/scripts/${host}` && /all requests/.test(msg),
        ),
      );
      expect(told, "by one gateway").to.have.lengthOf(1);
    });

    it("a rollout goes by the client's address where it names no header", async () => {
      const host = newHost();
      await put(host, says("old"));
      await everywhere("the old one is live", host, says200("old"));
      await put(host, says("new", `export const rollout = { percent: 30, steps: ["1h"] };`));
      const addresses = Array.from({ length: 60 }, (_, at) => `127.0.0.${at + 2}`);
      const who = async (gateway: TestGateway) => {
        const got = await Promise.all(
          addresses.map((localAddress) =>
            gateway.request({ host, agent: new Agent({ localAddress }) }),
          ),
        );
        return addresses.filter((_, at) => got[at]?.body === "new");
      };
      await eventually("both gateways give it to the same addresses", async () => {
        const [one, other] = await Promise.all(gateways.map(who));
        expect(one).to.deep.equal(other);
        expect(one?.length).to.be.within(6, 32);
      });
      await put(host, says("old"));
      for (const gateway of gateways) {
        await eventually("the version before ends it", async () =>
          expect(await who(gateway)).to.deep.equal([]),
        );
      }
    });

    it("a wildcard's script has the same life", async () => {
      const domain = `wild${newHost()}`;
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      await put(`*.${domain}`, says("one"));
      await everywhere("the first is live", `a.${domain}`, says200("one"));
      await put(`*.${domain}`, failsAt("two"));
      await everywhere("the second is live", `b.${domain}`, says200("two"));
      for (let each = 0; each < 6; each += 1) {
        expect((await ask(gateway, `c${each}.${domain}`, "ada", "/fail")).status).to.equal(500);
      }
      await everywhere("the first is live again", `a.${domain}`, says200("one"));
      expect(await outcomes(`*.${domain}`)).to.deep.equal(["live", "taken back", "replaced"]);
    });

    it("a version that fails is taken back on both gateways, once, and is not tried again", async () => {
      const host = newHost();
      const key_ = `sluice/scripts/${host}`;
      await put(host, says("one"));
      await everywhere("the first is live", host, says200("one"));
      await put(host, failsAt("two"));
      await everywhere("the second is live", host, says200("two"));
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      for (let each = 0; each < 6; each += 1) {
        expect((await ask(gateway, host, "ada", "/fail")).status).to.equal(500);
      }
      await everywhere("the first is live again", host, says200("one"));
      const told = () =>
        gateways.flatMap(({ records }) =>
          records.filter(({ key: of, msg }) => of === key_ && /is taken back/.test(msg)),
        );
      await eventually("it is said", async () => expect(told()).to.have.lengthOf(1));
      expect(told()[0]?.msg)
        .to.match(/[56] errors in \d+ calls/)
        .and.contain("two is broken");
      const history = await historyOf(host);
      expect(history.map(({ outcome }) => outcome)).to.deep.equal([
        "live",
        "taken back",
        "replaced",
      ]);
      expect(history[0]?.by).to.match(/^gateway /);
      expect(history[1]?.detail).to.contain("two is broken");
      for (const each of gateways) {
        const { life } = (await statusOf(each, host)) ?? {};
        expect(life?.takenBack[0]?.reason).to.contain("two is broken");
      }
      const { stdout } = await runSluice(["script", "status", "--consul", scene.consul.url]);
      expect(stdout).to.match(new RegExp(`${host} .* was taken back at .*two is broken`));
      const path = join(folder, "again.js");
      writeFileSync(path, failsAt("two"));
      const flags = ["--host", host, "--consul", scene.consul.url];
      const pushed = await runSluice(["script", "push", path, ...flags]);
      expect(pushed.status).to.equal(1);
      expect(pushed.stdout).to.match(/^refused: .*: this version was taken back \([56] errors/);
      const again = await start();
      scene.later(() => again.stop());
      says200("one")(await ask(again, host));
      await put(host, failsAt("three"));
      await everywhere("another text is tried", host, says200("three"));
      const index = async () => ((await key(`live/${host}`)) as { index: number }).index;
      const before = await index();
      await put(host, failsAt("two"));
      await eventually("the one that failed was decided on again", async () =>
        expect(await index()).to.be.above(before),
      );
      for (const each of gateways) says200("three")(await ask(each, host));
    });

    it("a version that stalls a worker is taken back on both gateways after the first time", async () => {
      const host = newHost();
      await put(host, says("one"));
      await everywhere("the first is live", host, says200("one"));
      const soon = Date.now() + 5_000;
      await put(host, says("two", stallsFrom(soon)));
      for (const gateway of gateways) {
        await gateway.statusWhen("the second is live", ({ scripts }) =>
          scripts.some((one) => one.host === host && one.version === one.life.accepted),
        );
      }
      await until("it begins to stall", () => Date.now() > soon);
      const [gateway, other] = gateways;
      if (gateway === undefined || other === undefined) throw new Error("two gateways");
      const pids = async () => (await other.status()).workers.map(({ pid }) => pid);
      const before = await pids();
      const lost = await ask(gateway, host).catch((error: Error) => error);
      expect(lost).to.be.instanceOf(Error);
      for (const each of gateways) {
        await each.statusWhen("it is known to be taken back", ({ scripts }) =>
          scripts.some((one) => one.host === host && one.life.takenBack.length > 0),
        );
        await each.caughtUp();
      }
      await everywhere("the first is live again", host, says200("one"));
      expect(await pids(), "no worker of the other one").to.deep.equal(before);
      for (const each of gateways) {
        const { life, outOfService } = (await statusOf(each, host)) ?? {};
        expect(life?.takenBack[0]?.reason).to.match(/could not get out|said nothing/);
        expect(outOfService).to.equal(null);
      }
      const told = () =>
        gateways.flatMap(({ records }) =>
          records.filter(
            ({ key: of, msg }) => of === `sluice/scripts/${host}` && /is taken back/.test(msg),
          ),
        );
      await eventually("it is said once", async () => expect(told()).to.have.lengthOf(1));
      expect(await outcomes(host)).to.deep.equal(["live", "taken back", "replaced"]);
    });

    it("a first version that stalls a worker is out of service on both gateways", async () => {
      const host = newHost();
      const soon = Date.now() + 4_000;
      await put(host, says("only", stallsFrom(soon)));
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      await gateway.statusWhen("it is live", ({ scripts }) =>
        scripts.some((one) => one.host === host && one.version !== null),
      );
      await until("it begins to stall", () => Date.now() > soon);
      const lost = await ask(gateway, host).catch((error: Error) => error);
      expect(lost).to.be.instanceOf(Error);
      for (const each of gateways) {
        await each.statusWhen("it is out of service", ({ scripts }) =>
          scripts.some((one) => one.host === host && one.outOfService !== null),
        );
        await each.caughtUp();
        expect((await ask(each, host)).status).to.equal(500);
      }
      const { stdout } = await runSluice(["script", "status", "--consul", scene.consul.url]);
      const lines = stdout.split("\n").filter((line) => line.includes(`${host} `));
      expect(lines).to.have.lengthOf(2);
      for (const line of lines) expect(line).to.contain("out of service: ");
      expect(await outcomes(host)).to.deep.equal(["out of service"]);
      await put(host, says("mended"));
      await everywhere("another source is tried", host, says200("mended"));
    });

    it("a version that has nothing before it stays, and the gateway says so", async () => {
      const host = newHost();
      await put(host, failsAt("only"));
      await everywhere("it is live", host, says200("only"));
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      for (let each = 0; each < 6; each += 1) await ask(gateway, host, "ada", "/fail");
      await eventually("it is said", async () => {
        const told = gateway.records.filter(
          ({ key: of, msg }) =>
            of === `sluice/scripts/${host}` && /no version to take it back/.test(msg),
        );
        expect(told).to.have.lengthOf(1);
      });
      const { stdout } = await runSluice(["script", "status", "--consul", scene.consul.url]);
      expect(stdout).to.match(new RegExp(`${host} .* fails too often \\(6 errors in \\d+ calls`));
      says200("only")(await ask(gateway, host));
    });

    /** Lets pass whoever brings a token. */
    const loose = `export default function ({ headers }) {
      if (!headers.has("authorization")) return deny(401);
    }`;
    /** Reads the token, and fails where it cannot. */
    const guard = (more = "") => `${more}
      export default function ({ headers }) {
        const [, claims] = (headers.get("authorization") ?? "").split(".");
        if (JSON.parse(crypto.base64Decode(claims)).role !== "admin") return deny(403);
      }`;
    const bearer = (claims: string) => `Bearer e30=.${btoa(claims)}.c2lnbmVk`;
    const asks = async (gateway: TestGateway, host: string, token: string, from = "127.0.0.1") => {
      const agent = new Agent({ localAddress: from });
      const headers = { authorization: token };
      return (await gateway.request({ host, headers, agent })).status;
    };
    const admin = bearer(`{"role":"admin"}`);
    const malformed = "Bearer malformed";
    /** The guard after the version that lets more pass, on both gateways. */
    async function guarded(more = ""): Promise<string> {
      const host = newHost();
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await put(host, loose);
      await everywhere("it is live", host, ({ status }) => expect(status).to.equal(401));
      await put(host, guard(more));
      for (const gateway of gateways) {
        await eventually("the second is live", async () =>
          expect(await asks(gateway, host, bearer("{}"))).to.equal(403),
        );
      }
      return host;
    }

    for (const [who, addresses] of [
      ["one client", ["127.0.0.1"]],
      ["three clients", ["127.0.0.2", "127.0.0.3", "127.0.0.4"]],
    ] as const)
      it(`a rule that reads tokens stays on both gateways when ${who} send what is none`, async () => {
        const host = await guarded();
        const [gateway] = gateways;
        if (gateway === undefined) throw new Error("two gateways");
        for (let each = 0; each < 6; each += 1) {
          const from = addresses[each % addresses.length];
          expect(await asks(gateway, host, malformed, from)).to.equal(500);
        }
        const told = () =>
          gateway.records.filter(
            ({ key: of, msg }) =>
              of === `sluice/scripts/${host}` &&
              /fails too often and stays: the version before it lets pass/.test(msg),
          );
        await eventually("it is said, as long as it fails", async () => {
          for (const from of addresses) await asks(gateway, host, malformed, from);
          expect(told()).to.have.lengthOf(1);
          const { failing } = (await statusOf(gateway, host))?.life ?? {};
          expect(failing).to.match(/errors in \d+ calls.*lets pass what it fails on/);
          const { stdout } = await runSluice(["script", "status", "--consul", scene.consul.url]);
          expect(stdout).to.match(new RegExp(`${host} .* fails too often \\(.*lets pass what it`));
        });
        for (const each of gateways) {
          expect(await asks(each, host, malformed)).to.equal(500);
          expect(await asks(each, host, bearer("{}"))).to.equal(403);
          expect(await asks(each, host, admin)).to.equal(200);
        }
        expect((await outcomes(host))[0]).to.equal("live");
        const shown = JSON.stringify(await gateway.status());
        expect(shown, "nothing that clients sent").to.not.contain(malformed);
      });

    it("a rule that reads tokens is taken back to a looser one where it says so", async () => {
      const host = await guarded("export const takeBack = { open: true };");
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      for (let each = 0; each < 6; each += 1) await asks(gateway, host, malformed);
      for (const each of gateways) {
        await eventually("the looser one is live", async () =>
          expect(await asks(each, host, malformed)).to.equal(200),
        );
      }
    });

    it("a rewriting rule that fails for everybody is taken back on both gateways, though one address asks", async () => {
      const host = newHost();
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      const rewrite = (path: string) =>
        `export default (request) => { request.path = ${path} + request.path; };`;
      await put(host, rewrite('"/v1"'));
      await hasEverywhere(host, rewrite('"/v1"'));
      await put(host, rewrite("request.undefined.value"));
      await everywhere("the second is live", host, ({ status }) => expect(status).to.equal(500));
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      for (let each = 0; each < 6; each += 1) await ask(gateway, host);
      await everywhere("the first is live again", host, ({ status }) =>
        expect(status).to.equal(200),
      );
      expect((await outcomes(host)).slice(0, 2)).to.deep.equal(["live", "taken back"]);
    });

    it("a rewriting rule that fails for one of many clients stays", async () => {
      const host = newHost();
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      const rewrite = (word: string) => `export default ({ headers }) => {
        if (headers.get("authorization") === "${word}") throw new Error("${word}");
        headers.set("x-word", "${word}");
      };`;
      const [gateway] = gateways;
      if (gateway === undefined) throw new Error("two gateways");
      for (const word of ["one", "two"]) {
        await put(host, rewrite(word));
        await hasEverywhere(host, rewrite(word));
      }
      const startedMs = (await gateway.status()).uptimeMs;
      await eventually("it failed for seconds", async () => {
        for (const from of [2, 3, 4, 5]) {
          expect(await asks(gateway, host, "fine", `127.0.0.${from}`)).to.equal(200);
        }
        expect(await asks(gateway, host, "two", "127.0.0.9")).to.equal(500);
        expect((await gateway.status()).uptimeMs).to.be.above(startedMs + 4_000);
      });
      expect((await statusOf(gateway, host))?.life).to.deep.include({
        failing: null,
        takenBack: [],
      });
    });

    it("an agreement that was imported from another Consul stops no new version", async () => {
      const host = newHost();
      await put(host, says("one"));
      await everywhere("the first is live", host, says200("one"));
      const index = async () => ((await key(`live/${host}`)) as { index: number } | null)?.index;
      await eventually("they agree", async () => expect(await index()).to.be.above(0));
      const life = (await key(`live/${host}`)) as object;
      await scene.writes.put(`live/${host}`, { ...life, index: 1_000_000_000, revision: 99 });
      await put(host, says("two"));
      await everywhere("the second is live", host, says200("two"));
      await eventually("they agree by this Consul's count", async () =>
        expect(await index()).to.be.below(1_000_000_000),
      );
      await eventually("the history says so", async () =>
        expect(await outcomes(host)).to.deep.equal(["live", "replaced"]),
      );
    });

    it("a script that is deleted ends at once on both, and its history says so", async () => {
      const host = newHost();
      await put(host, says("here"));
      await everywhere("it is live", host, says200("here"));
      await eventually("it is remembered", async () =>
        expect(await outcomes(host)).to.deep.equal(["live"]),
      );
      await scene.writes.remove(`scripts/${host}`);
      await everywhere("it is gone", host, ({ status }) => expect(status).to.equal(404));
      await eventually("the history says so", async () =>
        expect(await outcomes(host)).to.deep.equal(["removed"]),
      );
    });

    it("a failing script lets its requests go on when it says so", async () => {
      const host = newHost();
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await put(
        host,
        `export const onError = "skip"; export default () => { throw new Error("no"); };`,
      );
      await everywhere("the origin answers", host, ({ status, headers }) => {
        expect(status).to.equal(200);
        expect(headers["x-origin"]).to.equal("home");
      });
      await eventually("the errors are counted all the same", async () => {
        for (const gateway of gateways) {
          expect((await ask(gateway, host)).headers["x-origin"]).to.equal("home");
          expect((await statusOf(gateway, host))?.errors).to.be.above(0);
        }
      });
    });

    it("a gateway ends in time though Consul hangs", async () => {
      const host = newHost();
      const third = await start();
      await put(host, says("one"));
      await eventually("it is live", async () => says200("one")(await ask(third, host)));
      scene.later(() => scene.consul.resume());
      scene.consul.suspend();
      expect(await third.stop()).to.equal(0);
      scene.consul.resume();
      await everywhere("the others go on", host, says200("one"));
    });

    it("every gateway is registered while it runs", async () => {
      const isRegistered = async (gateway: TestGateway) => {
        const answer = await fetch(`${scene.consul.url}/v1/kv/sluice/gateways/?recurse`);
        const keys = answer.status === 404 ? [] : ((await answer.json()) as { Value: string }[]);
        return keys.some(({ Value }) =>
          JSON.parse(Buffer.from(Value, "base64").toString()).admin.endsWith(
            `:${gateway.adminPort}`,
          ),
        );
      };
      const third = await start();
      await eventually("all three are there", async () => {
        for (const gateway of [...gateways, third])
          expect(await isRegistered(gateway)).to.equal(true);
      });
      await third.stop();
      expect(await isRegistered(third)).to.equal(false);
      for (const gateway of gateways) expect(await isRegistered(gateway)).to.equal(true);
    });
  });
