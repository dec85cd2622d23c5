/** What the registrator makes of a container's health, its network, its signals and who started it. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { findDocker } from "../support/docker.ts";
import { eventually } from "../support/registered.ts";
import { registratorSuite } from "../support/registrator-suite.ts";

for (const kind of findDocker() === null ? [] : consulKinds())
  describe(`containers that the registrator sees, with ${kind.name}`, function () {
    this.timeout(300_000);
    const suite = registratorSuite(kind);

    const checkIs = (id: string, status: string, output: RegExp) =>
      eventually(`the check of ${id} is ${status}`, async () => {
        const check = (await suite.view.checks())[`service:${id}`];
        expect(check).to.include({ Status: status, Type: "ttl" });
        expect(check?.Output).to.match(output);
      });

    it("pass Docker's HEALTHCHECK on: starting, healthy, unhealthy and healthy again", async () => {
      const running = await suite.start("--resync", "600");
      const container = await suite.docker.run({
        name: "probed",
        healthcheck: "until test -e /tmp/go; do sleep 0.1; done; cat /tmp/health",
        command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
      });
      const id = "host1:probed:80";
      await checkIs(id, "critical", /^Docker's HEALTHCHECK: starting/);
      await container.execute("echo fine > /tmp/health; touch /tmp/go");
      await checkIs(id, "passing", /^Docker's HEALTHCHECK: healthy: fine/);
      await container.execute("rm /tmp/health");
      await checkIs(id, "critical", /^Docker's HEALTHCHECK: unhealthy: .*No such file/);
      await container.execute("echo well > /tmp/health");
      await checkIs(id, "passing", /^Docker's HEALTHCHECK: healthy: well/);
      await eventually("the log has it", async () => {
        expect(running.messages().join("\n")).to.match(
          /the check of host1:probed:80 is critical: /,
        );
      });
      const registered = running.messages().filter((line) => line.startsWith("registered"));
      expect(registered, "only the check is written").to.have.length(1);
    });

    it("have the health that Docker knows when a registrator or Consul comes back", async () => {
      await suite.start("--ttl", "6", "--ttl-refresh", "2");
      const container = await suite.docker.run({
        ...{ name: "probed", healthcheck: "test ! -e /tmp/sick" },
      });
      const id = "host1:probed:80";
      await checkIs(id, "passing", /healthy/);
      await suite.consul.restart({ keepData: false });
      await checkIs(id, "passing", /healthy/);
      const again = await suite.start("--ttl", "6", "--ttl-refresh", "2");
      await again.kill();
      await container.execute("touch /tmp/sick");
      await eventually("Docker has noticed", async () => {
        expect((await container.inspect()).State.Health?.Status).to.equal("unhealthy");
      });
      await suite.start();
      await checkIs(id, "critical", /unhealthy/);
    });

    it("have the check that a label names instead of Docker's HEALTHCHECK", async () => {
      await suite.start();
      await suite.docker.run({
        ...{ name: "labelled", healthcheck: "false" },
        labels: { SERVICE_CHECK_TTL: "1h", SERVICE_CHECK_INITIAL_STATUS: "passing" },
      });
      await suite.docker.run({ name: "probed", healthcheck: "false" });
      await checkIs("host1:probed:80", "critical", /unhealthy/);
      await suite.view.service("host1:labelled:80");
      const check = (await suite.view.checks())["service:host1:labelled:80"];
      expect(check).to.include({ Status: "passing", Output: "" });
    });

    it("get their check back when somebody takes it away", async () => {
      await suite.start();
      await suite.docker.run({ name: "sound", healthcheck: "true" });
      await suite.docker.run({
        ...{ name: "checked", labels: { SERVICE_CHECK_TTL: "60s" } },
      });
      await suite.docker.run({ name: "refused", labels: { SERVICE_CHECK_HTPP: "/" } });
      await checkIs("host1:sound:80", "passing", /healthy/);
      await suite.view.service("host1:checked:80");
      await checkIs("host1:refused:80", "critical", /SERVICE_CHECK_HTPP: is no check/);
      for (const name of ["sound", "checked"])
        await suite.view.deregisterCheck(`service:host1:${name}:80`);
      await suite.view.passCheck("service:host1:refused:80");
      await checkIs("host1:sound:80", "passing", /healthy/);
      await checkIs("host1:checked:80", "critical", /^/);
      await checkIs("host1:refused:80", "critical", /SERVICE_CHECK_HTPP/);
    });

    it("on the network of a container on the host's are at the host's address", async () => {
      await suite.start("--ip", "192.0.2.1");
      const first = await suite.docker.run({
        name: "first",
        network: "host",
        command: ["sleep", "600"],
      });
      const second = await suite.docker.run({
        ...{
          name: "second",
          command: ["sleep", "600"],
          network: `container:${first.id}`,
          ports: [],
        },
        image: await suite.docker.exposing(9100),
      });
      const service = await suite.view.service("host1:second:9100");
      expect(service).to.include({ Address: "192.0.2.1", Port: 9100 });
      await second.remove();
      await suite.view.gone("host1:second:9100");
    });

    it("on another container's network go and come with it", async () => {
      await suite.start();
      const first = await suite.docker.run({ name: "first" });
      await suite.docker.run({
        ...{
          name: "second",
          command: ["sleep", "600"],
          network: `container:${first.id}`,
          ports: [],
        },
        image: await suite.docker.exposing(9100),
      });
      const id = "host1:second:9100";
      const { Address } = await suite.view.service(id);
      const { NetworkSettings } = await first.inspect();
      expect(Address).to.equal(NetworkSettings.Networks.bridge?.IPAddress);
      await first.stop();
      await suite.view.gone(id);
      await first.start();
      await suite.view.service(id);
    });

    it("that Marathon started have the app's name, and metadata of the task", async () => {
      await suite.start();
      await suite.docker.run({
        name: "mesos-0123",
        env: {
          ...{ MARATHON_APP_ID: "/team/shop", MESOS_TASK_ID: "team_shop.1" },
          ...{ HOST: "agent7", PORT: "31001", PORT0: "31001" },
        },
      });
      const service = await suite.view.service("host1:mesos-0123:80");
      expect(service.Service).to.equal("team-shop");
      expect(service.Meta).to.include({
        ...{ marathon_app_id: "/team/shop", mesos_task_id: "team_shop.1" },
        ...{ host: "agent7", port: "31001", port0: "31001" },
      });
    });

    it("that survive the signal to stop come back after their grace", async () => {
      const running = await suite.start("--stop-grace", "1", "--resync", "1");
      const container = await suite.docker.run({
        ...{ name: "deaf", command: ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"] },
      });
      const registered = 'registered host1:deaf:80 as "web"';
      const logHas = (...lines: readonly string[]) =>
        eventually("the log has this of it", async () => {
          const found = running.messages().filter((line) => line.includes("deaf"));
          expect(found).to.have.members(lines);
        });
      await logHas(registered);
      await container.kill("SIGTERM");
      // Consul lacks it for a second only, which a test that is held up does not see.
      await logHas(
        ...[registered, 'container "deaf" is told to stop', "deregistered host1:deaf:80"],
        ...['container "deaf" was told to stop and runs on; it is back', registered],
      );
      await suite.view.service("host1:deaf:80");
      await container.kill("SIGKILL");
      await suite.view.gone("host1:deaf:80");
    });

    it("that were told to stop by their own signal stay out for the next registrator", async () => {
      const first = await suite.start();
      const container = await suite.docker.run({
        ...{ name: "own-signal", stopSignal: "SIGQUIT" },
        command: ["sh", "-c", "trap : QUIT; while :; do sleep 0.1; done"],
      });
      await suite.view.service("host1:own-signal:80");
      await first.kill();
      await container.kill("SIGQUIT");
      await suite.start("--stop-grace", "3600");
      await suite.view.gone("host1:own-signal:80");
      await suite.docker.run({ name: "after" });
      await suite.view.service("host1:after:80");
      expect(await suite.view.ids()).to.not.include("host1:own-signal:80");
    });
  });
