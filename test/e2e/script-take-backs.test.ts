/** Versions that fail, over two gateways on one Consul: which are taken back, and which stay. */
import { Agent } from "node:http";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import type { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { failsAt, ScriptScene, says, says200 } from "./script-scene.ts";

/**
 * V8 would end a loop. But a worker gives up after two seconds what it cannot get out of, and here that is sooner
 * than the time limit.
 */
const stall = "for (;;);";
const patient = ["--script-timeout", "30s"];
/** It takes five, and reports of workers may come between any two. */
const enoughErrors = /\b(?:[5-9]|\d{2,}) errors in \d+ calls/;
/** From the time on that there is such a setting, a worker that loads it does not come back. */
const stallsWith = (setting: string) => `if (settings["${setting}"]) { ${stall} }`;

for (const kind of consulKinds())
  describe(`versions that fail on two gateways with ${kind.name}`, function () {
    this.timeout(600_000);
    const desk = new ScriptScene(kind, patient);

    /** Until every worker has the setting. */
    async function set(setting: string): Promise<void> {
      const host = desk.newHost();
      await desk.scene.writes.put(`settings/${setting}`, "true");
      await desk.put(
        host,
        `export default () => respond({ body: String(settings["${setting}"]) });`,
      );
      await desk.everywhere("the setting is there", host, says200("true"));
    }

    it("a version that fails is taken back on both gateways, once, and is not tried again", async () => {
      const host = desk.newHost();
      const key_ = `sluice/scripts/${host}`;
      await desk.put(host, says("one"));
      await desk.everywhere("the first is live", host, says200("one"));
      await desk.put(host, failsAt("two"));
      await desk.everywhere("the second is live", host, says200("two"));
      await desk.comesTo(host, "live", "replaced");
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      expect((await desk.ask(gateway, host, "ada", "/fail")).status).to.equal(500);
      await desk.failUntil(gateway, host, "/fail", ({ takenBack }) => takenBack.length > 0);
      await desk.everywhere("the first is live again", host, says200("one"));
      const told = () =>
        desk.gateways.flatMap(({ records }) =>
          records.filter(({ key: of, msg }) => of === key_ && /is taken back/.test(msg)),
        );
      await eventually("it is said", async () => expect(told()).to.have.lengthOf(1));
      expect(told()[0]?.msg).to.match(enoughErrors).and.contain("two is broken");
      const history = await desk.historyOf(host);
      expect(history.map(({ outcome }) => outcome)).to.deep.equal([
        "live",
        "taken back",
        "replaced",
      ]);
      expect(history[0]?.by).to.match(/^gateway /);
      expect(history[1]?.detail).to.contain("two is broken");
      for (const each of desk.gateways) {
        await eventually("each gateway says so", async () => {
          const { life } = (await desk.statusOf(each, host)) ?? {};
          expect(life?.takenBack[0]?.reason).to.contain("two is broken");
        });
      }
      const { stdout } = await desk.script("status");
      expect(stdout).to.match(new RegExp(`${host} .* was taken back at .*two is broken`));
      const path = desk.file("again.js", failsAt("two"));
      const pushed = await desk.script("push", path, "--host", host);
      expect(pushed.status).to.equal(1);
      expect(pushed.stdout).to.match(/^refused: .*: this version was taken back \(\d+ errors/);
      const again = await desk.start();
      desk.scene.later(() => again.stop());
      says200("one")(await desk.ask(again, host));
      await desk.put(host, failsAt("three"));
      await desk.everywhere("another text is tried", host, says200("three"));
      await desk.comesTo(host, "live", "replaced", "taken back", "replaced");
      const index = async () => ((await desk.key(`live/${host}`)) as { index: number }).index;
      const before = await index();
      await desk.put(host, failsAt("two"));
      await eventually("the one that failed was decided on again", async () =>
        expect(await index()).to.be.above(before),
      );
      for (const each of desk.gateways) says200("three")(await desk.ask(each, host));
    });

    it("a version that stalls a worker is taken back on both gateways after the first time", async () => {
      const host = desk.newHost();
      await desk.put(host, says("one"));
      await desk.everywhere("the first is live", host, says200("one"));
      const second = says("two", stallsWith("stall-second"));
      await desk.put(host, second);
      await desk.hasEverywhere(host, second);
      await set("stall-second");
      const [gateway, other] = desk.gateways;
      if (gateway === undefined || other === undefined) throw new Error("two gateways");
      const pids = async () => (await other.status()).workers.map(({ pid }) => pid);
      const before = await pids();
      const lost = await desk.ask(gateway, host).catch((error: Error) => error);
      expect(lost).to.be.instanceOf(Error);
      for (const each of desk.gateways) {
        await each.statusWhen("it is known to be taken back", ({ scripts }) =>
          scripts.some((one) => one.host === host && one.life.takenBack.length > 0),
        );
        await each.caughtUp();
      }
      await desk.everywhere("the first is live again", host, says200("one"));
      expect(await pids(), "no worker of the other one").to.deep.equal(before);
      for (const each of desk.gateways) {
        const { life, outOfService } = (await desk.statusOf(each, host)) ?? {};
        expect(life?.takenBack[0]?.reason).to.match(/could not get out|said nothing/);
        expect(outOfService).to.equal(null);
      }
      const told = () =>
        desk.gateways.flatMap(({ records }) =>
          records.filter(
            ({ key: of, msg }) => of === `sluice/scripts/${host}` && /is taken back/.test(msg),
          ),
        );
      await eventually("it is said once", async () => expect(told()).to.have.lengthOf(1));
      await desk.comesTo(host, "live", "taken back", "replaced");
    });

    it("a first version that stalls a worker is out of service on both gateways", async () => {
      const host = desk.newHost();
      const only = says("only", stallsWith("stall-only"));
      await desk.put(host, only);
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      await desk.hasEverywhere(host, only);
      await set("stall-only");
      const lost = await desk.ask(gateway, host).catch((error: Error) => error);
      expect(lost).to.be.instanceOf(Error);
      for (const each of desk.gateways) {
        await each.statusWhen("it is out of service", ({ scripts }) =>
          scripts.some((one) => one.host === host && one.outOfService !== null),
        );
        await each.caughtUp();
        expect((await desk.ask(each, host)).status).to.equal(500);
      }
      const { stdout } = await desk.script("status");
      const lines = stdout.split("\n").filter((line) => line.includes(`${host} `));
      expect(lines).to.have.lengthOf(2);
      for (const line of lines) expect(line).to.contain("out of service: ");
      await desk.comesTo(host, "out of service");
      await desk.put(host, says("mended"));
      await desk.everywhere("another source is tried", host, says200("mended"));
    });

    it("a version that has nothing before it stays, and the gateway says so", async () => {
      const host = desk.newHost();
      await desk.put(host, failsAt("only"));
      await desk.everywhere("it is live", host, says200("only"));
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      await desk.failUntil(gateway, host, "/fail", ({ failing }) => failing !== null);
      await eventually("it is said", async () => {
        const told = gateway.records.filter(
          ({ key: of, msg }) =>
            of === `sluice/scripts/${host}` && /no version to take it back/.test(msg),
        );
        expect(told).to.have.lengthOf(1);
      });
      await eventually("it is said, as long as it fails", async () => {
        await desk.failUntil(gateway, host, "/fail", ({ failing }) => failing !== null);
        const { stdout } = await desk.script("status");
        expect(stdout).to.match(
          new RegExp(`${host} .* fails too often \\(\\d+ errors in \\d+ calls`),
        );
      });
      says200("only")(await desk.ask(gateway, host));
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
      const host = desk.newHost();
      await desk.scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await desk.put(host, loose);
      await desk.everywhere("it is live", host, ({ status }) => expect(status).to.equal(401));
      await desk.put(host, guard(more));
      for (const gateway of desk.gateways) {
        await eventually("the second is live", async () =>
          expect(await asks(gateway, host, bearer("{}"))).to.equal(403),
        );
        await gateway.caughtUp();
      }
      return host;
    }

    for (const [who, addresses] of [
      ["one client", ["127.0.0.1"]],
      ["three clients", ["127.0.0.2", "127.0.0.3", "127.0.0.4"]],
    ] as const)
      it(`a rule that reads tokens stays on both gateways when ${who} send what is none`, async () => {
        const host = await guarded();
        const [gateway] = desk.gateways;
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
          const { failing } = (await desk.statusOf(gateway, host))?.life ?? {};
          expect(failing).to.match(/errors in \d+ calls.*lets pass what it fails on/);
          const { stdout } = await desk.script("status");
          expect(stdout).to.match(new RegExp(`${host} .* fails too often \\(.*lets pass what it`));
        });
        for (const each of desk.gateways) {
          expect(await asks(each, host, malformed)).to.equal(500);
          expect(await asks(each, host, bearer("{}"))).to.equal(403);
          expect(await asks(each, host, admin)).to.equal(200);
        }
        await desk.comesTo(host, "live", "replaced");
        const shown = JSON.stringify(await gateway.status());
        expect(shown, "nothing that clients sent").to.not.contain(malformed);
      });

    it("a rule that reads tokens is taken back to a looser one where it says so", async () => {
      const host = await guarded("export const takeBack = { open: true };");
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      const fail = () => asks(gateway, host, malformed);
      await desk.failUntil(gateway, host, fail, ({ takenBack }) => takenBack.length > 0);
      for (const each of desk.gateways) {
        await eventually("the looser one is live", async () =>
          expect(await asks(each, host, malformed)).to.equal(200),
        );
      }
    });

    it("a rewriting rule that fails for everybody is taken back on both gateways, though one address asks", async () => {
      const host = desk.newHost();
      await desk.scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      const rewrite = (path: string) =>
        `export default (request) => { request.path = ${path} + request.path; };`;
      await desk.put(host, rewrite('"/v1"'));
      await desk.hasEverywhere(host, rewrite('"/v1"'));
      await desk.put(host, rewrite("request.undefined.value"));
      await desk.everywhere("the second is live", host, ({ status }) =>
        expect(status).to.equal(500),
      );
      await desk.comesTo(host, "live", "replaced");
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      await desk.failUntil(gateway, host, "/", ({ takenBack }) => takenBack.length > 0);
      await desk.everywhere("the first is live again", host, ({ status }) =>
        expect(status).to.equal(200),
      );
      await desk.comesTo(host, "live", "taken back", "replaced");
    });

    it("a rewriting rule that fails for one of many clients stays", async () => {
      const host = desk.newHost();
      await desk.scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      const rewrite = (word: string) => `export default ({ headers }) => {
        if (headers.get("authorization") === "${word}") throw new Error("${word}");
        headers.set("x-word", "${word}");
      };`;
      const [gateway] = desk.gateways;
      if (gateway === undefined) throw new Error("two gateways");
      for (const word of ["one", "two"]) {
        await desk.put(host, rewrite(word));
        await desk.hasEverywhere(host, rewrite(word));
      }
      const startedMs = (await gateway.status()).uptimeMs;
      await eventually("it failed for seconds", async () => {
        for (const from of [2, 3, 4, 5]) {
          expect(await asks(gateway, host, "fine", `127.0.0.${from}`)).to.equal(200);
        }
        expect(await asks(gateway, host, "two", "127.0.0.9")).to.equal(500);
        expect((await gateway.status()).uptimeMs).to.be.above(startedMs + 4_000);
      });
      expect((await desk.statusOf(gateway, host))?.life).to.deep.include({
        failing: null,
        takenBack: [],
      });
    });
  });
