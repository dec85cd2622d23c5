/** A whole gateway, on either engine: whom it takes for the client, and what of a client's fields gets through. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import type { Echo } from "../support/echo-origin.ts";
import { engineKinds } from "../support/engines.ts";
import { openClient, requestBytes } from "../support/http.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const [consul] = consulKinds();
const proxy = "127.0.0.2";
const stranger = "127.0.0.9";

for (const engine of engineKinds()) {
  describe(`whom a gateway with --engine ${engine} takes for the client`, function () {
    this.timeout(180_000);
    let scene: Scene;
    let folder: string;
    let accessLog: string;

    before(async () => {
      if (consul === undefined) throw new Error("no Consul");
      folder = mkdtempSync(join(tmpdir(), "sluice-proxy-"));
      accessLog = join(folder, "access.log");
      scene = await Scene.open(consul);
      // A machine that is busy is no reason for a script to fail.
      const flags = ["--engine", engine, "--access-log", accessLog, "--script-timeout", "1s"];
      await scene.start({
        workers: 1,
        flags: [...flags, "--trusted-proxies", `${proxy},10.0.0.0/8`],
      });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    async function ask(host: string, lines: readonly string[], from: string, body = "") {
      const client = await openClient(scene.gateway.httpPort, { from });
      try {
        const method = body === "" ? "GET" : "POST";
        const path = `/${encodeURIComponent(lines.join())}`.slice(0, 200);
        return await client.request(
          requestBytes(`${method} ${path}`, [`Host: ${host}`, ...lines], body),
        );
      } finally {
        client.close();
      }
    }

    async function echo(host: string, lines: readonly string[], from: string, body = "") {
      const answer = await ask(host, lines, from, body);
      expect(answer.status, answer.body.toString()).to.equal(200);
      return JSON.parse(answer.body.toString()) as Echo;
    }

    const records = () =>
      readFileSync(accessLog, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>);

    it("scripts and the access log have the proxy's client and scheme, and a stranger's own address", async () => {
      const host = "who.example";
      await scene.writes.put(
        `scripts/${host}`,
        `export default function ({ clientIp, scheme, headers, id }) {
           const told = ["x-forwarded-for", "forwarded", "x-real-ip"].map((name) => headers.get(name));
           return respond({ body: JSON.stringify({ clientIp, scheme, told, id }) });
         }`,
      );
      const says = async (lines: readonly string[], from: string) => {
        const answer = await ask(host, lines, from);
        expect(answer.status).to.equal(200);
        return JSON.parse(answer.body.toString());
      };
      await eventually("the script is live", () => says([], stranger));
      const list = "X-Forwarded-For: 6.6.6.6, 192.0.2.9, 10.1.2.3";
      for (const [lines, from, expected, logged] of [
        [
          [list, "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6"],
          proxy,
          { clientIp: "192.0.2.9", scheme: "https", told: [list.slice(17), null, null] },
          { client: "192.0.2.9", proxy },
        ],
        [
          ['Forwarded: for="[2001:DB8::9]:80";proto=https'],
          proxy,
          { clientIp: "2001:db8::9", scheme: "https", told: [null, null, null] },
          { client: "2001:db8::9", proxy },
        ],
        [
          [],
          proxy,
          { clientIp: proxy, scheme: "http", told: [null, null, null] },
          { client: proxy, proxy },
        ],
        [
          [list, "Forwarded: for=6.6.6.6", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6"],
          stranger,
          { clientIp: stranger, scheme: "http", told: [null, null, null] },
          { client: stranger },
        ],
      ] as const) {
        const { id, ...said } = await says(lines, from);
        expect(said, lines.join()).to.deep.equal(expected);
        await eventually("it is in the access log", async () => {
          const record = records().find((one) => one.id === id);
          expect(record).to.deep.include(logged);
          expect("proxy" in (record ?? {})).to.equal("proxy" in logged);
        });
      }
    });

    it("a rollout goes by the proxy's client, and not by what a stranger says", async () => {
      const host = "rolled.example";
      const version = (text: string, more = "") =>
        scene.writes.put(
          `scripts/${host}`,
          `${more}\nexport default () => respond({ body: "${text}" });`,
        );
      const says = async (address: string, from: string) =>
        (await ask(host, [`X-Forwarded-For: ${address}`], from)).body.toString();
      await version("old");
      await eventually("the first is live", async () =>
        expect(await says("192.0.2.1", proxy)).to.equal("old"),
      );
      await version("new", `export const rollout = { percent: 30, steps: ["1h"] };`);
      const addresses = Array.from({ length: 60 }, (_, at) => `192.0.2.${at + 2}`);
      const share = async (from: string) => {
        const said: string[] = [];
        for (const address of addresses) said.push(await says(address, from));
        return said;
      };
      await eventually("some of the proxy's clients are in", async () => {
        const inside = (await share(proxy)).filter((text) => text === "new").length;
        expect(inside).to.be.within(6, 32);
      });
      expect(await share(proxy)).to.deep.equal(await share(proxy));
      expect(new Set(await share(stranger)).size).to.equal(1);
    });

    it("a script may keep from the origin who the client is", async () => {
      const host = "discreet.example";
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await scene.writes.put(
        `scripts/${host}`,
        `export default ({ headers }) => {
           headers.delete("X-Forwarded-For");
           headers.set("x-script", "ran");
         };`,
      );
      for (const from of [proxy, stranger]) {
        await eventually("it is removed", async () => {
          const { headers } = await echo(host, ["X-Forwarded-For: 192.0.2.9"], from);
          expect(headers).to.include({ "x-script": "ran", "x-forwarded-proto": "http" });
          expect(headers).to.not.have.property("x-forwarded-for");
        });
      }
    });

    it("a name with an underscore overrules no script, and the status counts it", async () => {
      const host = "user.example";
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await scene.writes.put(
        `scripts/${host}`,
        `export default ({ headers }) => {
           headers.set("x-seen", String(headers.get("x_user")) + [...headers.keys()].includes("x_user"));
           headers.set("x-user", "ada");
         };`,
      );
      const dropped = async () => {
        const { workers } = await scene.gateway.status();
        return workers.map((worker) => worker.droppedHeaders);
      };
      const [before = 0] = await dropped();
      await eventually("the script is live", async () => {
        const { headers } = await echo(host, [], stranger);
        expect(headers).to.include({ "x-user": "ada" });
      });
      const { headers } = await echo(host, ["X_User: root", "X.User: root"], stranger);
      expect(headers).to.include({ "x-user": "ada", "x-seen": "nullfalse" });
      expect(headers).to.not.have.any.keys("x_user", "x.user");
      await eventually("they are counted", async () =>
        expect(await dropped()).to.deep.equal([before + 2]),
      );
      await eventually("and told, once", async () => {
        const told = scene.gateway.records.filter(({ msg }) => /dropped because of/.test(msg));
        expect(told).to.have.lengthOf(1);
      });
    });

    it("trailers reach the origin only by the names that the host's document has", async () => {
      const host = "trailers.example";
      const body = "1\r\na\r\n0\r\nX-User: root\r\nX-Sum: 1\r\n\r\n";
      const trailers = async () =>
        (await echo(host, ["Transfer-Encoding: chunked"], stranger, body)).trailers;
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" }, trailers: ["x-sum"] });
      await eventually("one is allowed", async () =>
        expect(await trailers()).to.deep.equal(["X-Sum", "1"]),
      );
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" } });
      await eventually("none is any more", async () => expect(await trailers()).to.deep.equal([]));
      await scene.writes.put(`hosts/${host}`, { paths: { "/": "home" }, trailers: ["Host"] });
      const key = `sluice/hosts/${host}`;
      const { refused } = await scene.gateway.statusWhen("it is refused", (status) =>
        status.refused.some((one) => one.key === key),
      );
      expect(refused.find((one) => one.key === key)?.error).to.contain(
        'trailers[0]: "Host" is not',
      );
    });
  });
}
