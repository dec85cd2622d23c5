/** Peers that refuse or fall silent behind a whole gateway: no client of the others notices. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { startEmbeddedAgent } from "../support/consul.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { refusingPeer } from "../support/unreachable.ts";
import { Scene } from "./scene.ts";

const requests = 300;

const originProgram = `
  const server = require("node:http").createServer((request, response) => response.end("fine"));
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

/** An origin in a process of its own, so that it can be stopped. */
async function originProcess(): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = spawn(process.execPath, ["-e", originProgram], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { child, port: Number(line.toString()) };
}

describe("tries of a gateway", function () {
  this.timeout(600_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open({ name: "embedded agent", start: startEmbeddedAgent });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  /** Asks in lots of 20 at once; how many were answered with each status. */
  async function ask(host: string): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {};
    for (let left = requests; left > 0; left -= 20) {
      const answers: GatewayAnswer[] = await Promise.all(
        Array.from({ length: 20 }, () => scene.gateway.request({ host })),
      );
      for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
    }
    return counts;
  }

  async function served(host: string): Promise<void> {
    await eventually(`${host} is served`, async () => {
      expect((await scene.gateway.request({ host })).status).to.equal(200);
    });
    await scene.gateway.caughtUp();
  }

  for (const engine of ["http1", "reference"]) {
    it(`fail no request when half of 20 peers refuse (${engine})`, async () => {
      await scene.start({ flags: ["--engine", engine] });
      const origins = await Promise.all(
        Array.from({ length: 10 }, (_, at) => scene.origin(`o${at}`)),
      );
      const refusing = origins.map(() => refusingPeer());
      const servers = origins.flatMap(({ server }, at) => [
        { host: refusing[at]?.host, port: refusing[at]?.port, fail_timeout: 0.05 },
        server,
      ]);
      await scene.writes.put("upstreams/half.example", { servers });
      await served("half.example");
      expect(await ask("half.example")).to.deep.equal({ 200: requests });
      for (const { requests: count } of origins) expect(count).to.be.greaterThan(0);
    });

    it(`fail no GET when one of 3 peers is stopped (${engine})`, async () => {
      // A peer that runs on a busy machine answers in time, and one that is stopped is met only now and then.
      const times = ["--response-timeout", "3s", "--try-timeout", "60s"];
      await scene.start({ flags: ["--engine", engine, ...times] });
      const origins = await Promise.all([originProcess(), originProcess(), originProcess()]);
      scene.later(() => {
        for (const { child } of origins) child.kill("SIGKILL");
      });
      const servers = origins.map(({ port }) => ({ host: "127.0.0.1", port, fail_timeout: 10 }));
      await scene.writes.put("upstreams/stopped.example", { servers });
      await served("stopped.example");
      expect(await ask("stopped.example"), "all run").to.deep.equal({ 200: requests });
      origins[1]?.child.kill("SIGSTOP");
      expect(await ask("stopped.example"), "one is stopped").to.deep.equal({ 200: requests });
    });
  }

  it("are as many as an upstream's document says, above --max-tries too", async () => {
    await scene.start({ flags: ["--max-tries", "1", "--try-timeout", "60s"] });
    const silent = await Promise.all([originProcess(), originProcess(), originProcess()]);
    scene.later(() => {
      for (const { child } of silent) child.kill("SIGKILL");
    });
    const last = await scene.origin("last");
    const servers = [...silent.map(({ port }) => ({ host: "127.0.0.1", port })), last.server];
    const cluster = servers.map((server) => ({ servers: [server] }));
    const document = { cluster, read_timeout: 2 };
    await scene.writes.put("upstreams/four.example", { ...document, try: 4 });
    await scene.writes.put("upstreams/default.example", document);
    await served("four.example");
    await served("default.example");
    for (const { child } of silent) child.kill("SIGSTOP");
    const host = "default.example";
    expect((await scene.gateway.request({ host })).status).to.equal(504);
    expect((await scene.gateway.request({ host: "four.example" })).status).to.equal(200);
  });
});
