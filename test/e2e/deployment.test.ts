/** What the repository has for a deployment: the policies for Consul, and what the image and the compose file open. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { findRealConsul, startRealConsul, type TestConsul } from "../support/consul.ts";
import { writesTo } from "../support/consul-writes.ts";
import { cleanEnvironment, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";

const root = join(import.meta.dirname, "..", "..");
const execute = promisify(execFile);
const isRefusal = /answers 403\b|permission denied|forbidden/i;
const says = (text: string) => `export default () => respond({ body: "${text}" });`;

const binary = findRealConsul();
if (binary !== null)
  describe("the policies for Consul's ACLs", function () {
    this.timeout(240_000);
    const secrets = {
      CONSUL_AGENT_TOKEN: randomUUID(),
      CONSUL_GATEWAY_TOKEN: randomUUID(),
      CONSUL_REGISTRATOR_TOKEN: randomUUID(),
    };
    const bootstrap = randomUUID();
    let consul: TestConsul;

    before(async () => {
      const tokens = { master: bootstrap, agent: secrets.CONSUL_AGENT_TOKEN };
      const acl = { enabled: true, default_policy: "deny", tokens };
      const config = { primary_datacenter: "dc1", acl };
      consul = await startRealConsul({ config, token: bootstrap });
    });
    after(() => consul?.stop());

    const makeThem = () =>
      execute("sh", [join(root, "deploy", "consul", "acl.sh")], {
        env: {
          ...cleanEnvironment,
          ...secrets,
          PATH: `${dirname(binary)}${delimiter}${process.env.PATH}`,
          CONSUL_HTTP_ADDR: consul.url,
          CONSUL_HTTP_TOKEN: bootstrap,
        },
      });

    it("are made by one script, which may be run again, and are enough for gateway and registrator", async () => {
      expect((await makeThem()).stdout).to.match(/sluice-gateway: its token is made/);
      expect((await makeThem()).stdout).to.match(/sluice-gateway: its token is there/);

      const headers = { "x-consul-token": secrets.CONSUL_REGISTRATOR_TOKEN };
      const asked: readonly (readonly [method: string, path: string, body?: string])[] = [
        ["GET", "agent/self"],
        ["GET", "agent/services"],
        ["GET", "agent/checks"],
        ["PUT", "agent/service/register", '{"Name":"web","Port":80,"Check":{"TTL":"60s"}}'],
        ["PUT", "agent/check/fail/service:web"],
        ["PUT", "agent/check/pass/service:web"],
      ];
      for (const [method, path, body] of asked) {
        const answer = await fetch(`${consul.url}/v1/${path}`, {
          method,
          headers,
          body: body ?? null,
        });
        expect(answer.status, `${path}: ${await answer.text()}`).to.equal(200);
      }
      const kv = await fetch(`${consul.url}/v1/kv/sluice/scripts/x`, { method: "PUT", headers });
      expect(kv.status).to.equal(403);

      const gateway = await TestGateway.start({
        consul: consul.url,
        workers: 1,
        env: { CONSUL_HTTP_TOKEN: secrets.CONSUL_GATEWAY_TOKEN },
        // A machine that is busy is no reason for a script to fail.
        flags: ["--script-timeout", "1s"],
      });
      try {
        await writesTo(consul.url, bootstrap).put("scripts/acl.example", says("live"));
        await eventually("the script is live", async () => {
          expect((await gateway.request({ host: "acl.example" })).body).to.equal("live");
        });
        expect((await gateway.admin("/scripts/acl.example", "DELETE")).status).to.equal(200);
      } finally {
        await gateway.stop();
      }
      const complaints = gateway.records.filter(({ msg }) => isRefusal.test(msg));
      expect(complaints).to.deep.equal([]);
      const other = await fetch(`${consul.url}/v1/kv/else`, {
        method: "PUT",
        headers: { "x-consul-token": secrets.CONSUL_GATEWAY_TOKEN },
      });
      expect(other.status).to.equal(403);
    });
  });

describe("the image and the compose file", () => {
  const compose = readFileSync(join(root, "docker-compose.yml"), "utf8");
  const image = readFileSync(join(root, "Dockerfile"), "utf8");

  it("pin every image to an exact version", () => {
    const images = [...compose.matchAll(/image: (\S+)/g), ...image.matchAll(/^FROM (\S+)/gm)];
    expect(images).to.have.length.above(4);
    for (const [, name = ""] of images) {
      if (name === "sluice:latest") continue;
      expect(name).to.match(/:(\d+\.\d+\.\d+|[a-z]+-\d{8})(-[a-z-]+)?(@sha256:[0-9a-f]{64})?$/);
    }
  });

  it("publish the gateway's port for requests, and no other", () => {
    const ports = [...compose.matchAll(/^\s+ports:(.*(?:\n\s+- .*)*)/gm)].map(([, list]) =>
      list?.trim(),
    );
    expect(ports).to.deep.equal(['["8080:8080"]']);
    expect(image)
      .to.match(/^EXPOSE 8080$/m)
      .and.match(/SLUICE_ADMIN=127\.0\.0\.1:/);
  });

  it("take every secret from a variable that must be set, and the script makes all of them", async () => {
    const needed = new Set(
      [...compose.matchAll(/\$\{([A-Z_]+_TOKEN):\?/g)].map(([, name]) => name),
    );
    const { stdout } = await execute("sh", [join(root, "deploy", "secrets.sh")]);
    const made = [...stdout.matchAll(/^([A-Z_]+)=[0-9a-f-]{36}$/gm)].map(([, name]) => name);
    expect(made).to.have.members([...needed]);
    expect(compose).to.not.match(/_TOKEN: (?!\$\{)/);
  });
});
