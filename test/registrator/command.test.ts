/** `sluice registrator` as compose files have it for gliderlabs/registrator, and who it registers as. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect } from "chai";
import { startEmbeddedAgent, type TestConsul } from "../support/consul.ts";
import { type DockerEngine, findDocker, startDocker } from "../support/docker.ts";
import { type ConsulView, eventually, viewOf } from "../support/registered.ts";

const cli = join(import.meta.dirname, "..", "..", "gateway", "cli.ts");

if (findDocker() !== null)
  describe("the command registrator", function () {
    this.timeout(300_000);
    let docker: DockerEngine;
    let consul: TestConsul;
    let view: ConsulView;
    let child: ChildProcess | null = null;
    let output = "";

    before(async () => {
      [docker, consul] = await Promise.all([startDocker(), startEmbeddedAgent()]);
      view = viewOf(consul.url);
    });
    after(async () => {
      await Promise.all([docker?.stop(), consul?.stop()]);
    });
    afterEach(async () => {
      await end();
      const containers = await docker.api.listContainers({ all: true });
      await Promise.all(
        containers.map(({ Id }) => docker.api.getContainer(Id).remove({ force: true })),
      );
      for (const id of await view.ids()) await view.deregister(id);
    });

    function start(...args: readonly string[]): ChildProcess {
      const env = { ...process.env, DOCKER_HOST: docker.host };
      output = "";
      child = spawn(process.execPath, [cli, "registrator", ...args], {
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const keep = (chunk: Buffer) => {
        output += chunk.toString();
      };
      child.stdout?.on("data", keep);
      child.stderr?.on("data", keep);
      return child;
    }

    /** SIGTERM; gives the exit status. */
    async function end(): Promise<number | null> {
      const running = child;
      child = null;
      if (running === null) return null;
      if (running.exitCode === null && running.signalCode === null) {
        const closed = once(running, "close");
        running.kill("SIGTERM");
        await closed;
      }
      return running.exitCode;
    }

    /** The embedded agent's own node, which is this machine. */
    async function node(): Promise<string> {
      const answer = await fetch(`${consul.url}/v1/agent/self`);
      const { Config } = (await answer.json()) as { Config: { NodeName: string } };
      return Config.NodeName;
    }

    it("understands one-dash flags and a registry, and registers as the agent's node", async () => {
      start("-internal", "-resync=30", "-tags", "all", `consul://127.0.0.1:${consul.port}`);
      await docker.run({ name: "inside", publish: false });
      const service = await view.service(`${await node()}:inside:80`);
      expect(service).to.deep.include({ Port: 80, Tags: ["all"] });
      expect(await end()).to.equal(0);
    });

    it("removes what it registered under another hostname with -cleanup", async () => {
      start("-hostname", "old", `consul://127.0.0.1:${consul.port}`);
      const gone = await docker.run({ name: "gone" });
      await docker.run({ name: "stays" });
      await view.service("old:gone:80");
      await view.service("old:stays:80");
      await end();
      await gone.remove();
      const theirs = { registrator: "other", "registrator-engine": "another engine" };
      await view.register({ ID: "other:x:80", Name: "x", Port: 1, Meta: theirs });
      start("-cleanup", `consul://127.0.0.1:${consul.port}`);
      const hostname = await node();
      await view.service(`${hostname}:stays:80`);
      await view.gone("old:stays:80");
      await view.gone("old:gone:80");
      expect(await view.ids()).to.have.members([`${hostname}:stays:80`, "other:x:80"]);
    });

    it("waits for the agent's name, and ends in between when it is told to", async () => {
      await consul.kill();
      await docker.run({ name: "early" });
      start("-retry-interval", "50", "-retry-attempts=-1", `consul://127.0.0.1:${consul.port}`);
      await eventually("the log says what it waits for", async () => {
        expect(output).to.include("its agent's node name stands in every ID");
      });
      expect(await end()).to.equal(0);
      start("-retry-interval", "50", `consul://127.0.0.1:${consul.port}`);
      await eventually("it waits again", async () => {
        expect(output).to.include("its agent's node name stands in every ID");
      });
      await consul.restart({ keepData: true });
      await view.service(`${await node()}:early:80`);
    });

    it("gives up without the agent's name after -retry-attempts", async () => {
      const running = start("-retry-attempts=1", "-retry-interval=10", "consul://127.0.0.1:9");
      await once(running, "close");
      expect(running.exitCode).to.equal(1);
      expect(output).to.include("ECONNREFUSED");
    });

    for (const [what, args, says] of [
      ["another registry", ["etcd://127.0.0.1:4001/x"], /the registry is Consul alone/],
      ["two addresses", ["--consul", "127.0.0.1:9", "consul://b:8500"], /both name Consul/],
      ["a switch that is neither", ["-internal=maybe"], /^sluice: --internal takes true or false/],
      ["an unknown flag", ["-nonsense"], /unknown option/],
    ] as const)
      it(`refuses ${what} in one line`, async () => {
        const running = start(...args);
        await once(running, "close");
        expect(running.exitCode).to.equal(2);
        expect(output).to.match(says);
        expect(output.trim().split("\n")).to.have.length(1);
      });
  });
