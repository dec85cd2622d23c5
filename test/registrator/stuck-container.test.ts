/** One container that the engine says nothing about must not stand in the way of the others. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { type DockerEngine, findDocker } from "../support/docker.ts";
import { eventually } from "../support/registered.ts";
import { startRegistratorProcess } from "../support/registrator.ts";
import { registratorSuite } from "../support/registrator-suite.ts";

for (const kind of findDocker() === null ? [] : consulKinds().slice(0, 1))
  describe(`a container that hangs in the engine, with ${kind.name}`, function () {
    this.timeout(300_000);
    const suite = registratorSuite(kind);

    it("keeps what is registered of it, and the others are followed", async () => {
      const first = await suite.start();
      const stuck = await suite.docker.run({ name: "stuck" });
      const ends = await suite.docker.run({ name: "ends" });
      await suite.view.service("host1:stuck:80");
      await suite.view.service("host1:ends:80");
      await first.kill();
      await ends.stop();
      const proxy = await silentAbout(stuck.id, suite.docker);
      const again = await startRegistratorProcess([
        ...["--docker", proxy.host, "--consul", suite.consul.url, "--hostname", "host1"],
        ...["--compare-ms", "200"],
      ]);
      try {
        await suite.view.gone("host1:ends:80");
        await suite.docker.run({ name: "next" });
        await suite.view.service("host1:next:80");
        expect(await suite.view.ids()).to.have.members(["host1:stuck:80", "host1:next:80"]);
        await eventually("the log says why", async () => {
          expect(again.messages().join("\n")).to.match(
            new RegExp(`container ${stuck.id.slice(0, 12)}: .*no answer within 10 seconds`),
          );
        });
        await stuck.remove();
        await suite.view.gone("host1:stuck:80");
      } finally {
        await again.stop();
        proxy.close();
      }
    });
  });

/** The engine, but for inspections of one container, which get no answer. */
async function silentAbout(
  id: string,
  docker: DockerEngine,
): Promise<{ readonly host: string; close(): void }> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-silent-"));
  const path = join(directory, "docker.sock");
  const server = createServer((incoming, outgoing) => {
    if (incoming.url?.startsWith(`/containers/${id}/json`)) return;
    const { method, headers, url } = incoming;
    const asked = request({ socketPath: docker.socket, method, headers, path: url }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      // An event stream says nothing at first.
      outgoing.flushHeaders();
      answer.pipe(outgoing);
    });
    asked.on("error", () => outgoing.destroy());
    outgoing.on("close", () => asked.destroy());
    incoming.pipe(asked);
  });
  server.listen(path);
  await once(server, "listening");
  return {
    host: `unix://${path}`,
    close() {
      server.close();
      server.closeAllConnections();
      rmSync(directory, { recursive: true });
    },
  };
}
