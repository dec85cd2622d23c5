/** Slardar's own commands on the admin API, and what comes of them on every gateway: `/upstream/<name>`, `/host/<name>`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { History } from "../../gateway/releases/index.ts";
import { consulKinds, findRealConsul, startRealConsul } from "../support/consul.ts";
import { curl } from "../support/curl.ts";
import { EchoOrigin, echoOf } from "../support/echo-origin.ts";
import { type GatewayAnswer, send, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const form = { "content-type": "application/x-www-form-urlencoded" };

for (const kind of consulKinds())
  describe(`Slardar's commands with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;
    let other: TestGateway;
    let names = 0;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start({ flags: ["--admin-open"] });
      other = await TestGateway.start({ consul: scene.consul.url, workers: 1 });
    });
    afterEach(() => scene.endTest());
    after(async () => {
      await other?.stop();
      await scene?.close();
    });

    const newName = () => {
      names += 1;
      return `node-dev${names}.example.com`;
    };
    const at = (path: string, gateway = scene.gateway) =>
      `http://127.0.0.1:${gateway.adminPort}${path}`;
    async function ask(
      method: string,
      path: string,
      body?: unknown,
      headers: Readonly<Record<string, string>> = form,
    ) {
      // On a busy machine the workers may take longer than answers wait by themselves.
      const patience = method === "GET" || path.includes("wait=") ? "" : "wait=60";
      const query = patience === "" ? "" : `${path.includes("?") ? "&" : "?"}${patience}`;
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const answer = await send(scene.gateway.adminPort, {
        ...{ host: "localhost", path: path + query, method, headers },
        ...(body === undefined ? {} : { body: text }),
      });
      const { status, body: said, headers: fields } = answer;
      return { status, text: said, json: JSON.parse(said), headers: fields };
    }
    /** Of every worker, right now. */
    async function answersOf(host: string): Promise<readonly GatewayAnswer[]> {
      const workers = await scene.workers();
      return Promise.all(workers.prefixes.map((prefix) => workers.ask(prefix, { host })));
    }
    const historyOf = async (path: string): Promise<History> =>
      (await ask("GET", `${path}/history`)).json.versions;
    /** Gateways serve a version before Consul has their word. */
    const comesTo = (path: string, ...outcomes: readonly string[]) =>
      eventually("the history says which is live", async () =>
        expect((await historyOf(path)).map(({ outcome }) => outcome)).to.deep.equal(outcomes),
      );

    it("work as they are written, and are answered when every worker has what they say", async () => {
      const name = newName();
      const one = await scene.origin("one");
      const url = at(`/upstream/${name}`).replace("http://", "");
      const before = await answersOf(name);
      expect(before.map(({ status }) => status)).to.deep.equal(before.map(() => 404));
      const body = `{"servers":[{"host":"127.0.0.1", "port": ${one.port}}]}`;
      // On a busy machine an answer may come before the last worker has it, and says so.
      await eventually("it is written, and every worker has it", async () => {
        const put = await curl(`curl ${url} -d '${body}'`);
        expect(put).to.deep.include({ status: 200, body: '{"status":200}' });
      });
      for (const answer of await answersOf(name)) expect(echoOf(answer).origin).to.equal("one");
      const two = `{"servers":[{"host":"127.0.0.1", "port": ${one.port}}, {"host":"127.0.0.2", "port": 8080}]}`;
      await eventually("it is written, and every worker has it", async () =>
        expect((await curl(`curl ${url} -d '${two}'`)).body).to.equal('{"status":200}'),
      );
      const status = JSON.parse((await curl(`curl ${url.replace(/upstream.*/, "status")}`)).body);
      expect(
        status[`cls:${name}`][0].map(({ server }: { server: string }) => server),
      ).to.deep.equal([`${name}:127.0.0.1:${one.port}`, `${name}:127.0.0.2:8080`]);
      const removed = await curl(`curl -XDELETE ${url}?wait=60`);
      expect(removed).to.deep.include({ status: 200, body: '{"status":200}' });
      for (const { status } of await answersOf(name)) expect(status).to.equal(404);
      const again = await ask("DELETE", `/upstream/${name}`);
      expect([again.status, again.json.msg]).to.deep.equal([400, `upstream ${name} not found`]);
    });

    it("POST leaves the fields that it does not name, as Slardar does, and PUT writes the whole", async () => {
      const path = `/upstream/${newName()}`;
      const { server } = scene.home;
      await ask("PUT", path, { cluster: [{ servers: [server] }], try: 3 });
      await ask("POST", path, { servers: [{ ...server, weight: 7 }] });
      const { json, headers } = await ask("GET", path);
      expect(json).to.deep.equal({ servers: [{ ...server, weight: 7 }], try: 3 });
      expect(headers["content-type"]).to.match(/^application\/json/);
      const text = JSON.stringify({ servers: [server] });
      await ask("PUT", path, text);
      expect((await ask("GET", path)).text).to.equal(text);
    });

    it("are refused by key and field, with Slardar's status and msg, and change nothing", async () => {
      const name = newName();
      const path = `/upstream/${name}`;
      const good = JSON.stringify({ servers: [scene.home.server] });
      await ask("PUT", path, good);
      const faults: readonly (readonly [body: string, message: RegExp])[] = [
        ['{"servers":', /is not JSON at line 1, column 12/],
        ["", /it is empty/],
        ["[]", /is not an object/],
        ["null", /is not an object/],
        ['{"servers":[{"host":"10.0.0.1"}]}', /servers\[0\]\.port: is missing/],
        ['{"servers":[{"host":"10.0.0.1","port":70000}]}', /port: 70000 is above 65535/],
        ['{"servers":[],"wieght":1}', /servers: is empty; unknown field "wieght"/],
        ['{"__proto__":{},"servers":[]}', /no field can have the name "__proto__"/],
        ['{"servers":[],"servers":[]}', /column 15: a second field has the name "servers"/],
        ["\xff", /./],
      ];
      for (const method of ["PUT", "POST"])
        for (const [body, message] of faults) {
          const { status, json } = await ask(method, path, body);
          expect([status, json.status], body).to.deep.equal([400, 400]);
          expect(json.msg, body).to.match(message).and.to.contain(`upstreams/${name}`);
        }
      expect((await ask("GET", path)).text).to.equal(good);
      for (const bad of ["a%2Fb", "%ff", "%C3%BC", "..%2Fx", "a%00b", ".a", ""])
        expect((await ask("PUT", `/upstream/${bad}`, good)).status, bad).to.be.oneOf([400, 404]);
      const big = await ask("PUT", path, `{"servers":[]}${" ".repeat(512 * 1024)}`);
      expect([big.status, big.json.error]).to.deep.equal([413, "too_large"]);
    });

    it("take a document of the size that Consul takes", async () => {
      const path = `/upstream/${newName()}`;
      const text = JSON.stringify({ servers: [scene.home.server] });
      const whole = text + " ".repeat(512 * 1024 - text.length);
      expect((await ask("PUT", path, whole)).json.status).to.equal(200);
      expect((await ask("GET", path)).text).to.equal(whole);
      expect((await ask("PUT", path, text)).json.status).to.equal(200);
      await comesTo(path, "live", "replaced");
      expect((await ask("POST", `${path}/rollback`)).json.status).to.equal(200);
      expect((await ask("GET", path)).text).to.equal(whole);
    });

    it("are seen in /status and /upstreams under Slardar's keys", async () => {
      const name = newName();
      const servers = [
        { host: "127.0.0.1", port: 9091, weight: 11, max_fails: 3, fail_timeout: 1 },
        { host: "127.0.0.1", port: 9092, weight: 22, max_fails: 2, fail_timeout: 2 },
        { host: "127.0.0.1", port: 9093, weight: 33, max_fails: 1, fail_timeout: 3 },
      ];
      const backup = { host: "::1", port: 9094, down: true };
      await ask("PUT", `/upstream/${name}`, { cluster: [{ servers }, { servers: [backup] }] });
      await ask("POST", `/upstream/${name}/peer/127.0.0.1:9092/drain`);
      const { json: status } = await ask("GET", "/status");
      const [first, second] = status[`cls:${name}`];
      expect(first).to.deep.equal([
        {
          ...{ server: `${name}:127.0.0.1:9091`, weight: 11, max_fails: 3, fail_timeout: 1 },
          status: "ok",
        },
        {
          ...{ server: `${name}:127.0.0.1:9092`, weight: 22, max_fails: 2, fail_timeout: 2 },
          ...{ status: "err", msg: "drained: by admin API, 127.0.0.1" },
        },
        {
          ...{ server: `${name}:127.0.0.1:9093`, weight: 33, max_fails: 1, fail_timeout: 3 },
          status: "ok",
        },
      ]);
      expect(second).to.deep.equal([
        {
          ...{ server: `${name}:[::1]:9094`, weight: 1, max_fails: 1, fail_timeout: 10 },
          ...{ status: "err", msg: "down in its document" },
        },
      ]);
      expect(status.start_time).to.match(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
      expect(status).to.include({ last_check_time: null, checkup_timer_alive: true });
      await ask("POST", `/upstream/${name}/peer/127.0.0.1:9091/weight`, { weight: 5 });
      const { json: later } = await ask("GET", "/status");
      expect(later.shd_config_version).to.be.above(status.shd_config_version);
      expect(later[`cls:${name}`][0][0]).to.include({ weight: 5, status: "ok" });
      const { json: listed } = await ask("GET", "/upstreams");
      expect(listed[name].cluster[0]).to.deep.equal({ servers });
      await ask("PUT", "/upstream/In.Capitals", { servers: [scene.home.server] });
      const { json: capitals } = await ask("GET", "/upstreams?name=In.Capitals");
      expect(capitals.upstreams).to.have.length(1);
      expect(listed.upstreams.map((one: { key: string }) => one.key)).to.include(name);
    });

    it("show the last server that is left as unstable, and one that failed as err, by what workers met", async () => {
      const name = newName();
      const dead = (port: number) => ({ host: "127.0.0.1", port, max_fails: 1, fail_timeout: 600 });
      const levelOf = async () =>
        (await ask("GET", "/status")).json[`cls:${name}`][0].map(
          ({ status }: { status: string }) => status,
        );
      await ask("PUT", `/upstream/${name}`, { servers: [scene.home.server, dead(2)] });
      await eventually("the dead one is out", async () => {
        await scene.gateway.request({ host: name });
        expect(await levelOf()).to.deep.equal(["ok", "err"]);
      });
      await ask("PUT", `/upstream/${name}`, { servers: [dead(2), dead(3)] });
      await eventually("both are out", async () => {
        await scene.gateway.request({ host: name });
        expect(await levelOf()).to.deep.equal(["unstable", "unstable"]);
      });
    });

    it("reach every gateway, with a history and a way back", async () => {
      const name = newName();
      const path = `/upstream/${name}`;
      const origins = [await scene.origin("one"), await scene.origin("two")];
      for (const { server } of origins)
        await ask("POST", path, { servers: [server] }, { ...form, "sluice-by": "ada" });
      const answeredBy = (origin: string) =>
        eventually(`${origin} answers`, async () =>
          expect(echoOf(await other.request({ host: name })).origin).to.equal(origin),
        );
      await answeredBy("two");
      await comesTo(path, "live", "replaced");
      expect((await historyOf(path)).map(({ by }) => by)).to.deep.equal(["ada", "ada"]);
      expect((await ask("POST", `${path}/rollback`)).text).to.equal('{"status":200}');
      await answeredBy("one");
      expect((await ask("POST", `${path}/test`, { servers: [] })).status).to.equal(422);
    });

    it("are for hosts, too, whose tests run first", async () => {
      const name = newName();
      const path = `/host/${name}`;
      await ask("PUT", "/upstream/front", { servers: [scene.home.server] });
      const tests = [{ request: "GET /x", expect: { upstream: "front" } }];
      const good = { paths: { "/": "front" }, tests };
      expect((await ask("PUT", path, good)).text).to.equal('{"status":200}');
      for (const answer of await answersOf(name)) expect(echoOf(answer).origin).to.equal("home");
      const bad = await ask("PUT", path, { ...good, paths: { "/": "back" } });
      expect([bad.status, bad.json.error]).to.deep.equal([422, "document_refused"]);
      expect(bad.json.test).to.include({ name: "tests[0] (GET /x)" });
      expect((await ask("GET", path)).json).to.deep.equal(good);
      expect((await ask("DELETE", path)).text).to.equal('{"status":200}');
      expect((await ask("DELETE", path)).status).to.equal(404);
    });

    it("change one gateway alone when they say so, over Consul and without it, until it is written for all", async () => {
      const name = newName();
      const path = `/upstream/${name}`;
      const [one, two] = [await scene.origin("one"), await scene.origin("two")];
      await ask("PUT", path, { servers: [one.server], try: 2 });
      const originsOf = async () => {
        const here = await answersOf(name);
        return [
          ...new Set(
            [...here, await other.request({ host: name })].map((each) => echoOf(each).origin),
          ),
        ];
      };
      await eventually("both have it", async () =>
        expect(await originsOf()).to.deep.equal(["one"]),
      );
      const local = await ask("POST", `${path}?scope=local`, { servers: [two.server] });
      expect(local.text).to.equal('{"status":200}');
      expect(await originsOf()).to.deep.equal(["two", "one"]);
      expect((await ask("GET", path)).json).to.deep.equal({ servers: [one.server], try: 2 });
      const shown = await ask("GET", `${path}?scope=local`);
      expect(shown.json).to.deep.equal({ try: 2, servers: [two.server] });
      const { local: changes } = await scene.gateway.status();
      expect(changes.map(({ subject }) => subject)).to.deep.equal([`upstreams/${name}`]);
      expect((await other.status()).local).to.deep.equal([]);
      await eventually("it is explained", async () => {
        const explained = await ask("GET", `/explain?url=http://${name}/`);
        expect(explained.json.local).to.deep.equal([`upstreams/${name}`]);
      });
      await eventually("the fleet says so", async () => {
        const { gateways } = (await ask("GET", "/fleet")).json;
        const locals = gateways.map(({ self, local }: { self: boolean; local: string[] }) => [
          self,
          local,
        ]);
        expect(locals).to.have.deep.members([
          [true, [`upstreams/${name}`]],
          [false, []],
        ]);
      });
      // What comes from Consul meanwhile waits beneath.
      await scene.writes.put(`upstreams/${name}`, { servers: [one.server], try: 4 });
      expect((await ask("POST", `${path}?scope=local`, { servers: [] })).status).to.equal(400);
      expect(await originsOf()).to.deep.equal(["two", "one"]);
      expect((await ask("DELETE", `${path}?scope=local`)).text).to.equal('{"status":200}');
      expect(await originsOf()).to.deep.equal(["one"]);
      expect((await ask("DELETE", `${path}?scope=local`)).status).to.equal(400);
      await ask("POST", `${path}?scope=local`, { servers: [two.server] });
      await ask("PUT", path, { servers: [one.server] });
      expect(await originsOf()).to.deep.equal(["one"]);
      expect((await scene.gateway.status()).local).to.deep.equal([]);
      expect((await ask("PUT", `${path}?scope=all`, {})).status).to.equal(400);
    });

    it("of twenty at once some win and the others are told what is there; the history has the winners alone", async () => {
      const path = `/upstream/${newName()}`;
      const first = await ask("PUT", path, { servers: [{ host: "10.0.0.1", port: 1 }] });
      expect(first.status).to.equal(200);
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, async (_, at) => {
          const body = JSON.stringify({ servers: [{ host: "10.0.0.1", port: at + 2 }] });
          return { body, ...(await ask("PUT", path, body)) };
        }),
      );
      const won = outcomes.filter(({ status }) => status === 200);
      const lost = outcomes.filter(({ status }) => status !== 200);
      expect(won).to.not.have.length(0);
      for (const { status, json } of lost) {
        expect([status, json.error]).to.deep.equal([409, "conflict"]);
        expect(json.current.source).to.contain("10.0.0.1");
      }
      const { text, headers } = await ask("GET", path);
      expect(won.map(({ body }) => body)).to.include(text);
      expect(await historyOf(path)).to.have.length(won.length + 1);
      const version = headers.etag ?? "";
      const changed = { servers: [{ host: "10.0.0.2", port: 1 }] };
      const stale = await ask("PUT", path, changed, { ...form, "if-match": `"${"0".repeat(64)}"` });
      expect([stale.status, stale.json.current.source]).to.deep.equal([409, text]);
      const made = await ask("PUT", path, changed, { ...form, "if-none-match": "*" });
      expect(made.status).to.equal(409);
      expect((await ask("DELETE", path, undefined, { "if-match": '"0"' })).status).to.equal(409);
      expect((await ask("PUT", path, changed, { ...form, "if-match": version })).status).to.equal(
        200,
      );
    });

    it("say which worker has not got it after a while", async () => {
      const path = `/upstream/${newName()}`;
      let weight = 0;
      // A busy machine may keep the other worker from it, too, or have the gateway replace the one that stands still.
      await eventually("one worker alone stands still", async () => {
        const [stopped] = (await scene.gateway.caughtUp()).workers;
        if (stopped === undefined) throw new Error("there is no worker");
        scene.suspend(stopped.pid);
        weight += 1;
        const servers = [{ ...scene.home.server, weight }];
        try {
          const { status, json } = await ask("PUT", `${path}?wait=0.5`, { servers });
          expect([status, json.status]).to.deep.equal([202, 202]);
          expect(json.msg).to.contain(`worker ${stopped.id} (pid ${stopped.pid})`);
          expect(json.behind).to.have.length(1);
          expect(json.behind[0]).to.include({ worker: stopped.id, pid: stopped.pid });
        } finally {
          await scene.endTest();
        }
      });
      await scene.gateway.caughtUp();
      expect((await ask("PUT", `${path}?wait=60`, { servers: [scene.home.server] })).text).to.equal(
        '{"status":200}',
      );
    });

    it("need the token where the gateway is not open, and come from no web page anywhere", async () => {
      const path = `/upstream/${newName()}`;
      const body = JSON.stringify({ servers: [scene.home.server] });
      const to = (gateway: TestGateway, headers: object, method = "POST") =>
        fetch(at(path, gateway), {
          method,
          headers: { ...form, ...headers },
          ...(method === "GET" ? {} : { body }),
        });
      expect((await to(other, {})).status).to.equal(401);
      expect((await to(other, await other.credentials())).status).to.equal(200);
      const foreign = [
        { origin: "http://evil.example" },
        { origin: "null" },
        { "sec-fetch-site": "cross-site" },
        { host: "evil.example" },
      ];
      for (const { host = "localhost", ...headers } of foreign)
        for (const method of ["POST", "PUT", "DELETE"]) {
          const asked = { host, path, method, body, headers: { ...form, ...headers } };
          const { status } = await send(scene.gateway.adminPort, asked);
          expect(status, JSON.stringify(asked)).to.equal(403);
        }
    });
  });

for (const kind of consulKinds().slice(0, 1))
  describe(`writes to a gateway of ${kind.name} whose Consul is away`, function () {
    this.timeout(600_000);

    it("fail by name, and those for this gateway alone work", async () => {
      const scene = await Scene.open(kind);
      try {
        const gateway = await scene.start({ flags: ["--admin-open"] });
        await scene.consul.kill();
        const url = `http://127.0.0.1:${gateway.adminPort}/upstream/aside`;
        const body = JSON.stringify({ servers: [scene.home.server] });
        const failed = await fetch(url, { method: "POST", body });
        expect(failed.status).to.equal(502);
        expect(await failed.json()).to.include({ error: "consul_failed" });
        const local = await fetch(`${url}?scope=local&wait=60`, { method: "POST", body });
        expect(await local.text()).to.equal('{"status":200}');
        expect(echoOf(await gateway.request({ host: "aside" })).origin).to.equal("home");
      } finally {
        await scene.close();
      }
    });

    it("outlive a restart without Consul where they are for all, and end where they are not", async () => {
      const scene = await Scene.open(kind);
      const directory = await mkdtemp(join(tmpdir(), "sluice-writes-"));
      try {
        const [one, two] = [await scene.origin("one"), await scene.origin("two")];
        const flags = ["--admin-open", "--data-dir", directory];
        const gateway = await scene.start({ flags });
        const write = async (path: string, servers: readonly object[] | null) => {
          const url = `http://127.0.0.1:${gateway.adminPort}/upstream/${path}`;
          const body = servers === null ? "" : JSON.stringify({ servers });
          const answer = await fetch(url, { method: "POST", body });
          expect(answer.status).to.equal(200);
        };
        await write("both.example?wait=60", [one.server]);
        await write("both.example?scope=local&wait=60", [two.server]);
        await write("here.example?scope=local&wait=60", [two.server]);
        await write("half.example?wait=60", [one.server, two.server]);
        await write(`half.example/peer/127.0.0.1:${one.port}/drain?wait=60`, null);
        expect(echoOf(await gateway.request({ host: "both.example" })).origin).to.equal("two");
        await gateway.statusWhen(
          "the file has the current version",
          ({ snapshotFile, version }) => snapshotFile?.version === version,
        );
        await gateway.stop();
        await scene.consul.kill();
        const again = await scene.start({ flags });
        expect((await again.status()).local).to.deep.equal([]);
        expect(echoOf(await again.request({ host: "both.example" })).origin).to.equal("one");
        expect((await again.request({ host: "here.example" })).status).to.equal(404);
        for (let each = 0; each < 4; each += 1)
          expect(echoOf(await again.request({ host: "half.example" })).origin).to.equal("two");
      } finally {
        await scene.close();
        await rm(directory, { recursive: true, force: true });
      }
    });

    it("does not start open where other machines reach it", async () => {
      const gateway = TestGateway.launch({
        consul: "http://127.0.0.1:1",
        flags: ["--admin", "0.0.0.0:0", "--admin-open"],
        env: { SLUICE_ADMIN_TOKEN: "a-token-of-the-operator" },
      });
      expect(await gateway.ended).to.equal(1);
      expect(gateway.errors).to.contain("--admin-open: other machines reach --admin 0.0.0.0:0");
      await gateway.stop();
    });
  });

if (findRealConsul() !== null)
  describe("writes to a gateway whose token may only read", function () {
    this.timeout(600_000);

    it("are refused with what the token lacks, and change nothing; those for it alone work", async () => {
      const master = "6d2c2f4e-0000-4000-8000-00000000dddd";
      const acl = { enabled: true, default_policy: "deny", tokens: { master, agent: master } };
      const config = { primary_datacenter: "dc1", acl };
      const consul = await startRealConsul({ config, token: master });
      const home = await EchoOrigin.start("home");
      let gateway: TestGateway | null = null;
      try {
        const send = async (path: string, body: object) => {
          const headers = { "x-consul-token": master };
          const options = { method: "PUT", headers, body: JSON.stringify(body) };
          return (await fetch(`${consul.url}/v1/${path}`, options)).json();
        };
        const Rules = `key_prefix "sluice/" { policy = "read" }
          service_prefix "" { policy = "read" }
          node_prefix "" { policy = "read" }`;
        await send("acl/policy", { Name: "reads", Rules });
        const token = await send("acl/token", { Policies: [{ Name: "reads" }] });
        gateway = await TestGateway.start({
          consul: consul.url,
          env: { CONSUL_HTTP_TOKEN: String(Reflect.get(Object(token), "SecretID")) },
          flags: ["--admin-open"],
        });
        const url = `http://127.0.0.1:${gateway.adminPort}/upstream/aside`;
        const body = JSON.stringify({ servers: [home.server] });
        const refused = await fetch(url, { method: "POST", body });
        const said = (await refused.json()) as { readonly error: string; readonly msg: string };
        expect([refused.status, said.error]).to.deep.equal([502, "consul_failed"]);
        expect(said.msg)
          .to.match(/permission denied/i)
          .and.to.contain("upstreams/aside");
        expect((await fetch(url)).status).to.equal(404);
        const drained = await fetch(`${url}/peer/127.0.0.1:${home.port}/drain`, { method: "POST" });
        expect(drained.status).to.equal(404);
        const local = await fetch(`${url}?scope=local&wait=60`, { method: "POST", body });
        expect(await local.text()).to.equal('{"status":200}');
        expect(echoOf(await gateway.request({ host: "aside" })).origin).to.equal("home");
        const late = await fetch(`${url}/peer/127.0.0.1:${home.port}/drain`, { method: "POST" });
        expect(late.status).to.equal(502);
      } finally {
        await gateway?.stop();
        await home.close();
        await consul.stop();
      }
    });
  });
