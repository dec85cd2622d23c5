/** The life of scripts under the ACLs of a real Consul: what a gateway's token must be allowed, and what not. */
import { expect } from "chai";
import { findRealConsul, startRealConsul, type TestConsul } from "../support/consul.ts";
import { type ConsulWrites, writesTo } from "../support/consul-writes.ts";
import { TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";

const master = "6d2c2f4e-0000-4000-8000-00000000cccc";
const reads = `key_prefix "sluice/" { policy = "read" }
  service_prefix "" { policy = "read" }
  node_prefix "" { policy = "read" }`;
const writes = ["live", "history", "versions", "gateways"]
  .map((folder) => `key_prefix "sluice/${folder}/" { policy = "write" }`)
  .concat('session_prefix "" { policy = "write" }', 'service "sluice" { policy = "write" }')
  .join("\n");
const says = (text: string) => `export default () => respond({ body: "${text}" });`;

if (findRealConsul() !== null)
  describe("the life of a script under the ACLs of a real Consul", function () {
    this.timeout(600_000);
    let consul: TestConsul;
    let operator: ConsulWrites;
    let gateway: TestGateway | null = null;

    before(async () => {
      const acl = { enabled: true, default_policy: "deny", tokens: { master, agent: master } };
      consul = await startRealConsul({
        config: { primary_datacenter: "dc1", acl },
        token: master,
      });
      operator = writesTo(consul.url, master);
    });
    afterEach(async () => {
      await gateway?.stop();
      gateway = null;
    });
    after(() => consul?.stop());

    async function send(method: string, path: string, body?: object): Promise<string> {
      const answer = await fetch(`${consul.url}/v1/${path}`, {
        method,
        headers: { "x-consul-token": master },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return answer.status === 404 ? "" : answer.text();
    }

    async function startWith(name: string, rules: string): Promise<[TestGateway, string]> {
      await send("PUT", "acl/policy", { Name: name, Rules: rules });
      const token = await send("PUT", "acl/token", { Policies: [{ Name: name }] });
      const secret = String(Reflect.get(JSON.parse(token) as object, "SecretID"));
      gateway = await TestGateway.start({
        consul: consul.url,
        env: { CONSUL_HTTP_TOKEN: secret },
      });
      return [gateway, secret];
    }

    async function answers(one: TestGateway, host: string, body: string): Promise<void> {
      await eventually(`it says ${body}`, async () =>
        expect((await one.request({ host })).body).to.equal(body),
      );
    }

    it("a token that may only read: versions go live, and the log says what is not kept", async () => {
      const [one, secret] = await startWith("reader", reads);
      await operator.put("scripts/read.example", says("one"));
      await answers(one, "read.example", "one");
      await operator.put("scripts/read.example", says("two"));
      await answers(one, "read.example", "two");
      await operator.put("scripts/read.example", "export default () => {");
      await one.statusWhen("it is refused", ({ refused }) => refused.length > 0);
      await answers(one, "read.example", "two");
      const told = () => one.records.map(({ msg }) => msg).join("\n");
      await eventually("the log says so", async () => {
        expect(told()).to.match(/this gateway decides alone: .*\b403\b/);
        expect(told()).to.match(/not registered as sluice\/gateways\/.*\b403\b/);
        // Which Consul of several on one machine it was.
        const denials = one.records.map(({ msg }) => msg).filter((msg) => /\b403\b/.test(msg));
        for (const msg of denials) expect(msg).to.contain(`127.0.0.1:${consul.port}/v1/`);
      });
      expect(await send("GET", "kv/sluice/live/?keys")).to.equal("");
      expect(told() + JSON.stringify(await one.status())).to.not.contain(secret);
    });

    it("a token that may read nothing: the gateway is not ready and says why", async () => {
      const token = await send("PUT", "acl/token", { Description: "sees nothing" });
      const secret = String(Reflect.get(JSON.parse(token) as object, "SecretID"));
      for (const env of [{ CONSUL_HTTP_TOKEN: secret }, undefined]) {
        const one = TestGateway.launch({
          consul: consul.url,
          ...(env === undefined ? {} : { env }),
        });
        gateway = one;
        await one.adminUp();
        await eventually("its workers listen, and it says what it sees", async () => {
          const { status, body } = await one.admin("/readyz");
          expect({ status, body }).to.include({ status: 503 });
          expect(body).to.contain(`Consul at ${consul.url} shows no service`);
        });
        expect((await one.status()).notReady).to.contain("the ACL token may read nothing");
        await one.stop();
      }
    });

    it("a token that may write where gateways keep things, and nowhere else, is enough", async () => {
      const [one] = await startWith("writer", `${reads}\n${writes}`);
      await operator.put("scripts/write.example", says("one"));
      await answers(one, "write.example", "one");
      await eventually("it is kept", async () => {
        expect(await send("GET", "kv/sluice/live/write.example?raw")).to.contain('"live":"');
        expect(await send("GET", "kv/sluice/history/scripts/write.example?raw")).to.contain(
          '"outcome":"live"',
        );
        expect(await send("GET", "kv/sluice/gateways/?keys")).to.contain("sluice/gateways/");
      });
      const complaints = one.records.filter(({ msg }) => /decides alone|not registered/.test(msg));
      expect(complaints).to.deep.equal([]);
    });
  });
