/** The registrator between a real Docker Engine and each kind of Consul. */
import { expect } from "chai";
import { consulKinds, type TestConsul } from "../support/consul.ts";
import { type DockerEngine, findDocker, startDocker } from "../support/docker.ts";
import { type ConsulView, eventually, viewOf } from "../support/registered.ts";
import { type RegistratorProcess, startRegistratorProcess } from "../support/registrator.ts";

const engineIsHere = findDocker() !== null;

for (const kind of engineIsHere ? consulKinds() : [])
  describe(`the registrator with a real Docker Engine and ${kind.name}`, function () {
    this.timeout(300_000);
    let docker: DockerEngine;
    let consul: TestConsul;
    let view: ConsulView;
    let registrator: RegistratorProcess | null = null;

    before(async () => {
      [docker, consul] = await Promise.all([startDocker(), kind.start()]);
      view = viewOf(consul.url);
    });
    after(async () => {
      await Promise.all([docker?.stop(), consul?.stop()]);
    });
    afterEach(async () => {
      await registrator?.stop();
      registrator = null;
      const containers = await docker.api.listContainers({ all: true });
      await Promise.all(
        containers.map(({ Id }) => docker.api.getContainer(Id).remove({ force: true })),
      );
      for (const id of await view.ids()) await view.deregister(id);
    });

    async function start(...flags: readonly string[]): Promise<RegistratorProcess> {
      registrator = await startRegistratorProcess([
        ...["--docker", docker.host, "--consul", consul.url],
        ...["--hostname", "host1", "--compare-ms", "200", ...flags],
      ]);
      return registrator;
    }

    it("registers a container that starts, with its labels, and it answers there", async () => {
      await start();
      await docker.run({
        name: "shop",
        body: "the shop",
        env: { SERVICE_TAGS: "from-image" },
        labels: { SERVICE_NAME: "shop", SERVICE_TAGS: "v1,blue", SERVICE_REGION: "eu" },
      });
      const service = await view.service("host1:shop:80");
      expect(service.Service).to.equal("shop");
      expect(service.Tags).to.have.members(["v1", "blue"]);
      expect(service.Meta).to.include({ region: "eu" });
      await eventually("the service answers at its registered address", async () => {
        const answer = await fetch(`http://${service.Address}:${service.Port}/`);
        expect(await answer.text()).to.equal("the shop");
      });
    });

    it("deregisters a container that is told to stop, long before it has died", async () => {
      await start();
      const container = await docker.run({ name: "slow", lingerSeconds: 300 });
      const { Port } = await view.service("host1:slow:80");
      const serves = async () => {
        const answer = await fetch(`http://127.0.0.1:${Port}/`);
        expect(await answer.text()).to.equal("slow");
      };
      await eventually("it serves", serves);
      const stopping = container.stop(300);
      await view.gone("host1:slow:80");
      expect((await container.inspect()).State.Running).to.equal(true);
      await serves();
      await container.kill();
      await stopping;
      await container.start();
      await view.service("host1:slow:80");
    });

    it("takes the container's own stop signal for one, and others not", async () => {
      await start();
      const container = await docker.run({
        name: "own-signal",
        stopSignal: "SIGQUIT",
        command: ["sh", "-c", "trap : HUP QUIT; while :; do sleep 1; done"],
      });
      await view.service("host1:own-signal:80");
      await container.kill("SIGHUP");
      // Events come in order: when the next container is there, the first one's signal has been seen.
      await docker.run({ name: "after" });
      await view.service("host1:after:80");
      expect(await view.ids()).to.include("host1:own-signal:80");
      await container.kill("SIGQUIT");
      await view.gone("host1:own-signal:80");
      expect((await container.inspect()).State.Running).to.equal(true);
    });

    it("registers each published port, and says what is wrong with a label", async () => {
      const running = await start();
      await docker.run({
        name: "many",
        ports: [80, 443, "53/udp"],
        labels: {
          SERVICE_80_NAME: "",
          SERVICE_443_NAME: "secure",
          SERVICE_443_IGNORE: "",
          SERVICE_8080_NAME: "nobody",
          SERVICE_TAGS: ",,",
        },
      });
      expect((await view.service("host1:many:443")).Service).to.equal("secure");
      expect((await view.service("host1:many:80")).Service).to.equal("web-80");
      const dns = await view.service("host1:many:53:udp");
      expect([dns.Service, dns.Tags]).to.deep.equal(["web-53", ["udp"]]);
      await eventually("the log says what is wrong", async () => {
        const lines = running.messages().filter((line) => line.startsWith('container "many": '));
        expect(lines).to.have.length(3);
        for (const label of ["SERVICE_80_NAME", "SERVICE_8080_NAME", "SERVICE_TAGS"])
          expect(lines.filter((line) => line.includes(`${label}: `))).to.have.length(1);
      });
    });

    it("finds the right state after kill -9 and changes that nobody saw", async () => {
      const first = await start();
      const [stays, stops, moves] = await Promise.all(
        ["stays", "stops", "moves"].map((name) => docker.run({ name })),
      );
      const dies = await docker.run({ name: "dies", lingerSeconds: 300 });
      for (const name of ["stays", "stops", "moves", "dies"])
        await view.service(`host1:${name}:80`);
      await view.register({ ID: "by-hand", Name: "by-hand", Port: 1 });
      await view.register({ ID: "host1:by-hand:1", Name: "by-hand", Port: 1 });
      const marked = { registrator: "host2", "registrator-container": "0123456789ab" };
      await view.register({ ID: "host2:else:80", Name: "else", Port: 1, Meta: marked });

      await first.kill();
      await stops?.stop();
      await moves?.stop();
      await moves?.start();
      await docker.run({ name: "starts" });
      const dying = dies.stop(300);
      await eventually("docker stop has reached the container", async () => {
        const events = await docker.api.getEvents({
          ...{ since: 0, until: Date.now() / 1000 },
          filters: JSON.stringify({ container: [dies.id], event: ["kill"] }),
        });
        let seen = "";
        for await (const chunk of events) seen += chunk;
        expect(seen).to.include('"kill"');
      });

      await start("--stop-grace", "3600");
      await view.service("host1:starts:80");
      await view.gone("host1:stops:80");
      await view.gone("host1:dies:80");
      const port = await moves?.port(80);
      await eventually("the moved container has its new port", async () => {
        expect((await view.service("host1:moves:80")).Port).to.equal(port);
      });
      expect((await view.service("host1:stays:80")).Port).to.equal(await stays?.port(80));
      expect(await view.ids()).to.have.members([
        ...["by-hand", "host1:by-hand:1", "host2:else:80"],
        ...["host1:stays:80", "host1:moves:80", "host1:starts:80"],
      ]);
      expect((await dies.inspect()).State.Running).to.equal(true);
      await dies.kill();
      await dying;
    });

    it("writes nothing anew when it starts again and all is right", async () => {
      await start();
      await docker.run({ name: "same", labels: { SERVICE_CHECK_TTL: "1h" } });
      await view.service("host1:same:80");
      await view.passCheck("service:host1:same:80");
      await registrator?.stop();
      const again = await start();
      await docker.run({ name: "next" });
      await view.service("host1:next:80");
      // The service is there a moment before the log says so.
      await eventually("the log has the next one alone", async () => {
        const lines = again.messages().filter((line) => line.startsWith("registered"));
        expect(lines).to.deep.equal(['registered host1:next:80 as "web"']);
      });
      expect((await view.checks())["service:host1:same:80"]?.Status).to.equal("passing");
    });

    it("removes what another registrator left with --cleanup only, and on its own host only", async () => {
      await view.register({ ID: "host1:old:80", Name: "old", Port: 1 });
      await view.register({ ID: "host2:old:80", Name: "old", Port: 1 });
      await view.register({ ID: "unlike", Name: "old", Port: 1 });
      await start("--cleanup");
      await view.gone("host1:old:80");
      expect(await view.ids()).to.have.members(["host2:old:80", "unlike"]);
    });

    it("leaves alone what a registrator of another host has under the same ID", async () => {
      const running = await start();
      const marked = { registrator: "host2", "registrator-container": "0123456789ab" };
      await view.register({ ID: "one", Name: "theirs", Port: 1, Meta: marked });
      await docker.run({ labels: { SERVICE_ID: "one" } });
      await eventually("the log has the conflict", async () => {
        expect(running.messages().join("\n")).to.match(
          /service ID "one" belongs to the registrator/,
        );
      });
      expect((await view.service("one")).Service).to.equal("theirs");
    });

    it("leaves alone what has no mark, also when the container ends, and says so once", async () => {
      await view.register({ ID: "payments-db", Name: "payments", Port: 1 });
      const running = await start();
      const thief = await docker.run({ name: "thief", labels: { SERVICE_ID: "payments-db" } });
      const isConflict = (line: string) =>
        /^container "thief": service ID "payments-db" belongs to somebody else.*\(label SERVICE_ID\)$/.test(
          line,
        );
      await eventually("the log has the conflict", async () => {
        expect(running.messages().filter(isConflict)).to.have.length(1);
      });
      await thief.stop();
      await docker.run({ name: "after" });
      await view.service("host1:after:80");
      expect(await view.service("payments-db")).to.deep.include({ Service: "payments", Port: 1 });
      expect(running.messages().filter(isConflict)).to.have.length(1);
    });

    it("looks again right before it writes: what somebody took over in between is theirs", async () => {
      const running = await start("--compare-ms", "60000");
      const one = await docker.run({ name: "one", labels: { SERVICE_ID: "shared" } });
      await view.service("shared");
      await view.register({ ID: "shared", Name: "theirs", Port: 1 });
      await one.stop();
      await docker.run({ name: "two", labels: { SERVICE_ID: "shared" } });
      await eventually("the second is refused", async () => {
        expect(running.messages().join("\n")).to.match(
          /container "two": service ID "shared" belongs/,
        );
      });
      expect(await view.service("shared")).to.deep.include({ Service: "theirs", Port: 1 });
      expect(running.messages().join("\n")).to.not.include("deregistered shared");
    });

    it("does not take another service's check over by its ID", async () => {
      await view.register({ Name: "db", Port: 1, Checks: [{ TTL: "60s" }, { TTL: "60s" }] });
      const running = await start();
      await docker.run({
        name: "thief",
        labels: {
          SERVICE_ID: "db:1",
          SERVICE_CHECK_TTL: "60s",
          SERVICE_CHECK_INITIAL_STATUS: "passing",
        },
      });
      await eventually("the log has the conflict", async () => {
        expect(running.messages().join("\n")).to.include(
          'belongs to a check of the service ID "db"',
        );
      });
      expect((await view.checks())["service:db:1"]).to.include({ ServiceID: "db" });
      expect(await view.ids()).to.deep.equal(["db"]);
    });

    it("refuses IDs that no path can hold once, and registers under its own", async () => {
      const running = await start();
      const bad = [".", "..", "a/b", "a\u200bb", "consul", "x".repeat(254)];
      for (const [at, id] of bad.entries()) {
        await docker.run({ name: `bad${at}`, labels: { SERVICE_ID: id } });
        await view.service(`host1:bad${at}:80`);
      }
      await eventually("the log has each once", async () => {
        const lines = running
          .messages()
          .filter((line) => line.includes("SERVICE_ID: cannot be an ID"));
        expect(lines).to.have.length(bad.length);
      });
      expect(running.messages().join("\n")).to.not.include("trying again");
    });

    it("never has the agent call itself, nor send anything but GET and HEAD", async () => {
      await view.register({ ID: "victim", Name: "victim", Port: 1 });
      const running = await start("--internal", "--useIpFromLabel", "addr");
      const spellings = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        docker.gateway,
      ];
      for (const [at, addr] of spellings.entries()) {
        const name = `own${at}`;
        await docker.run({
          name,
          ports: [consul.port],
          publish: false,
          command: ["sleep", "600"],
          labels: {
            addr,
            SERVICE_CHECK_HTTP: "/v1/agent/service/deregister/victim",
            SERVICE_CHECK_HTTP_METHOD: "PUT",
            SERVICE_CHECK_INTERVAL: "1s",
            SERVICE_CHECK_INITIAL_STATUS: "passing",
          },
        });
        const id = `host1:${name}:${consul.port}`;
        await eventually(`the check at ${addr} is refused`, async () => {
          const lines = running.messages().filter((line) => line.includes(`container "${name}"`));
          expect(lines.join("\n")).to.match(/METHOD: takes GET or HEAD; GET is used/);
          expect(lines.join("\n")).to.match(
            /stays critical: the check would be at the Consul agent's own/,
          );
          // Consul takes no address that stands for all: then there is no service at all.
          if (addr === "0.0.0.0") return expect(await view.ids()).to.not.include(id);
          const check = (await view.checks())[`service:${id}`];
          expect(check).to.include({ Status: "critical", Type: "ttl" });
        });
      }
      expect(await view.ids()).to.include("victim");
    });

    it("registers a service whose check is refused as critical, with the reason", async () => {
      await start("--ttl", "5", "--ttl-refresh", "1");
      await docker.run({ name: "scripted", labels: { SERVICE_CHECK_SCRIPT: "true" } });
      await docker.run({ name: "after" });
      await view.service("host1:scripted:80");
      await eventually("the other's TTL check passes", async () => {
        expect((await view.checks())["service:host1:after:80"]).to.include({ Status: "passing" });
      });
      await eventually("the refused check says why", async () => {
        const check = (await view.checks())["service:host1:scripted:80"];
        expect(check).to.include({ Status: "critical" });
        expect(check?.Output).to.match(/^SERVICE_CHECK_SCRIPT: would run a command/);
      });
    });

    it("gives an ID to one container at a time, and to the next when it is free", async () => {
      const running = await start();
      const first = await docker.run({ name: "first", labels: { SERVICE_ID: "one" } });
      await view.service("one");
      const second = await docker.run({ name: "second", labels: { SERVICE_ID: "one" } });
      await eventually("the log has the conflict", async () => {
        const line = 'container "second": service ID "one" belongs to container "first"';
        expect(running.messages().join("\n")).to.include(line);
      });
      expect((await view.service("one")).Port).to.equal(await first.port(80));
      await first.stop();
      await eventually("the second has the ID", async () => {
        expect((await view.service("one")).Port).to.equal(await second.port(80));
      });
    });

    it("takes a paused container out, and a container's new name over", async () => {
      await start();
      const container = await docker.run({ name: "calm" });
      await view.service("host1:calm:80");
      await docker.api.getContainer(container.id).pause();
      await view.gone("host1:calm:80");
      await docker.api.getContainer(container.id).unpause();
      await view.service("host1:calm:80");
      await docker.api.getContainer(container.id).rename({ name: "calmer" });
      await view.service("host1:calmer:80");
      await view.gone("host1:calm:80");
    });

    it("follows the Docker Engine through a restart of it", async () => {
      const running = await start();
      const back = await docker.run({ name: "back" });
      await docker.run({ name: "ended" });
      await view.service("host1:back:80");
      await view.service("host1:ended:80");
      await docker.restart();
      await back.start();
      await view.gone("host1:ended:80");
      await eventually("the restarted container has its new port", async () => {
        expect((await view.service("host1:back:80")).Port).to.equal(await back.port(80));
      });
      await docker.run({ name: "new" });
      await view.service("host1:new:80");
      await eventually("the log says so", async () => {
        expect(running.messages()).to.include(`following ${docker.host} again`);
      });
    });

    it("fills a Consul that comes back empty, and forgets nothing while it is away", async () => {
      await start();
      await docker.run({ name: "before" });
      const ends = await docker.run({ name: "ends" });
      await view.service("host1:before:80");
      await view.service("host1:ends:80");
      await consul.restart({ keepData: false });
      await view.service("host1:before:80");
      await view.service("host1:ends:80");
      await consul.kill();
      await docker.run({ name: "meanwhile" });
      await ends.stop();
      await consul.restart({ keepData: true });
      await view.service("host1:meanwhile:80");
      await view.service("host1:before:80");
      await view.gone("host1:ends:80");
    });

    it("waits for a Consul that is not there yet, or gives up after --retry-attempts", async () => {
      await consul.kill();
      await docker.run({ name: "early" });
      const gaveUp = await startRegistratorProcess([
        ...["--docker", docker.host, "--consul", consul.url],
        ...["--retry-attempts", "2", "--retry-interval", "20"],
      ]).then(
        () => "started",
        (error: Error) => error.message,
      );
      expect(gaveUp).to.match(/ECONNREFUSED/);
      await start("--retry-interval", "50");
      await consul.restart({ keepData: true });
      await view.service("host1:early:80");
    });

    it("keeps a crashed container's service with --deregister on-success, not an ended one's", async () => {
      await start("--deregister", "on-success");
      const shell = (code: number) => [
        "sh",
        "-c",
        `trap "exit ${code}" USR1; while :; do sleep 0.1; done`,
      ];
      const crashes = await docker.run({ name: "crashes", command: shell(3) });
      const ends = await docker.run({ name: "ends", command: shell(0) });
      await view.service("host1:crashes:80");
      await view.service("host1:ends:80");
      for (const container of [crashes, ends]) {
        await container.handles("SIGUSR1");
        await container.kill("SIGUSR1");
      }
      await view.gone("host1:ends:80");
      await eventually("the container has crashed", async () => {
        expect((await crashes.inspect()).State.ExitCode).to.equal(3);
      });
      await registrator?.kill();
      const again = await start("--deregister", "on-success");
      await docker.run({ name: "after" });
      await view.service("host1:after:80");
      expect(await view.ids()).to.have.members(["host1:crashes:80", "host1:after:80"]);
      expect(again.messages().join("\n")).to.not.include("deregistered");
      await crashes.remove();
      await view.gone("host1:crashes:80");
    });

    it("registers checks that Consul runs, and keeps a TTL of --ttl alive", async () => {
      await start("--ttl", "2", "--ttl-refresh", "1");
      await docker.run({
        name: "checked",
        labels: { SERVICE_CHECK_HTTP: "/", SERVICE_CHECK_INTERVAL: "200ms" },
      });
      await docker.run({ name: "unchecked" });
      await view.service("host1:unchecked:80");
      await eventually("the HTTP check passes", async () => {
        const { Status } = (await view.checks())["service:host1:checked:80"] ?? {};
        expect(Status).to.equal("passing");
      });
      await registrator?.kill();
      await eventually("the TTL check fails once nobody refreshes it", async () => {
        const { Status } = (await view.checks())["service:host1:unchecked:80"] ?? {};
        expect(Status).to.equal("critical");
      });
      await start("--ttl", "2", "--ttl-refresh", "1");
      await eventually("the TTL check passes again", async () => {
        const { Status } = (await view.checks())["service:host1:unchecked:80"] ?? {};
        expect(Status).to.equal("passing");
      });
    });

    it("registers containers' own addresses with --internal", async () => {
      await start("--internal");
      const container = await docker.run({ name: "inside", publish: false, body: "inside" });
      const { Address, Port } = await view.service("host1:inside:80");
      const { NetworkSettings } = await container.inspect();
      expect([Address, Port]).to.deep.equal([NetworkSettings.Networks.bridge?.IPAddress, 80]);
      await eventually("the service answers there", async () => {
        expect(await (await fetch(`http://${Address}:${Port}/`)).text()).to.equal("inside");
      });
    });

    it("leaves its services registered when it ends", async () => {
      await start();
      await docker.run({ name: "left" });
      await view.service("host1:left:80");
      expect(await registrator?.stop()).to.equal(0);
      expect(await view.ids()).to.deep.equal(["host1:left:80"]);
    });
  });

describe("the registrator without a Docker Engine", function () {
  this.timeout(180_000);

  it("ends at once and names the socket and what to do", async () => {
    const message = await startRegistratorProcess([
      ...["--docker", "unix:///nonexistent/docker.sock", "--consul", "http://127.0.0.1:9"],
    ]).then(
      () => "started",
      (error: Error) => error.message,
    );
    expect(message).to.include("ended with 1");
    expect(message).to.match(
      /Docker at unix:\/\/\/nonexistent\/docker\.sock: there is no socket \/nonexistent\/docker\.sock; start the Docker Engine, or name another with --docker/,
    );
  });
});
