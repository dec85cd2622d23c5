/**
 * A port of the whole cluster, all parts real: three machines with a gateway each, a service of three containers, a
 * key in Consul. Whatever dies, what fails is what was on its way there.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readAll } from "../../gateway/streams/fixtures/rig.ts";
import { until } from "../support/conditions.ts";
import { findRealConsul, startRealConsul, type TestConsul } from "../support/consul.ts";
import { type ConsulWrites, writesTo } from "../support/consul-writes.ts";
import {
  type DockerEngine,
  findDocker,
  type RunningContainer,
  startDocker,
} from "../support/docker.ts";
import { cleanEnvironment } from "../support/gateway.ts";
import { Machine } from "../support/machine.ts";
import { eventually } from "../support/registered.ts";

const cli = join(import.meta.dirname, "..", "..", "gateway", "cli.ts");
const port = 5432;
const names = ["one", "two", "three"];

/** A connection, the name of the peer that it is on, and whether it still is. */
class Held {
  readonly machine: string;
  peer = "";
  isOpen = true;
  readonly #socket: Socket;
  #heard = "";

  constructor(machine: string) {
    this.machine = machine;
    this.#socket = connect({ host: machine, port });
    this.#socket.setEncoding("utf8");
    this.#socket.on("data", (chunk) => {
      this.#heard += chunk;
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.isOpen = false;
    });
  }

  async greeted(): Promise<void> {
    const hasSaid = () => this.#heard.includes("\n") || !this.isOpen;
    await until("the peer says its name", hasSaid, { deadlineMs: 30_000 });
    this.peer = this.#heard.trim();
    this.#heard = "";
  }

  /** Whether the peer still answers. */
  async answers(): Promise<boolean> {
    const word = `word ${Math.random()}\n`;
    this.#socket.write(word);
    await until("the peer answers", () => this.#heard.includes(word) || !this.isOpen);
    return this.isOpen;
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function ask(machine: string): Promise<string> {
  const socket = connect({ host: machine, port, allowHalfOpen: true });
  socket.end("hello\n");
  const [name = "", echo = ""] = String(await readAll(socket)).split("\n");
  expect(echo).to.equal("hello");
  return name;
}

if (findDocker() !== null && findRealConsul() !== null)
  describe("a port of three machines", function () {
    this.timeout(120_000);
    const toStop: (() => unknown)[] = [];
    let consul: TestConsul;
    let writes: ConsulWrites;
    let docker: DockerEngine;
    const machines: Machine[] = [];
    const containers = new Map<string, RunningContainer>();

    before(async () => {
      docker = await startDocker();
      toStop.push(() => docker.stop());
      consul = await startRealConsul({ config: { client_addr: "0.0.0.0" } });
      toStop.push(() => consul.stop());
      writes = writesTo(consul.url);
      const registrator = startRegistrator();
      toStop.push(async () => {
        const ended = once(registrator, "exit");
        registrator.kill("SIGTERM");
        await ended;
      });
      for (const name of names) {
        const server = `printf '#!/bin/sh\\necho ${name}\\nexec cat\\n' > /serve; chmod +x /serve; exec nc -ll -p 80 -e /serve`;
        const container = await docker.run({
          name,
          publish: false,
          labels: { SERVICE_NAME: "echo" },
          command: ["sh", "-c", server],
        });
        containers.set(name, container);
      }
      const at = new URL(consul.url);
      at.hostname = docker.gateway;
      for (let number = 1; number <= 3; number += 1) {
        const machine = await Machine.start(docker, number);
        toStop.push(() => machine.stop());
        const directory = mkdtempSync(join(tmpdir(), "sluice-mesh-"));
        toStop.splice(-1, 0, () => rmSync(directory, { recursive: true, force: true }));
        machine.run([
          ...["env", `TMPDIR=${directory}`, `XDG_RUNTIME_DIR=${directory}`, process.execPath],
          ...[cli, "start", "--consul", at.origin, "--workers", "2", "--log-level", "error"],
          ...["--http", "0.0.0.0:8080", "--kv-listener-ports", String(port)],
          ...["--guard-time", "0s", "--drain-timeout", "2s"],
        ]);
        machines.push(machine);
      }
    });
    after(async () => {
      for (const stop of toStop.splice(0).reverse()) await stop();
    });

    function startRegistrator(): ChildProcess {
      const flags = ["--docker", docker.host, "--consul", consul.url, "--log-level", "error"];
      const child = spawn(process.execPath, [cli, "registrator", ...flags, "--internal"], {
        env: cleanEnvironment,
        stdio: ["ignore", "ignore", "inherit"],
      });
      process.once("exit", () => child.kill("SIGKILL"));
      return child;
    }

    it("answers on each, and loses with a peer or a machine what was on its way there", async () => {
      const document = { address: `:${port}`, protocol: "tcp", upstream: "echo" };
      await writes.put("listeners/echo", document);
      for (const { address } of machines) {
        const seen = new Set<string>();
        await eventually(`${address} reaches each peer`, async () => {
          seen.add(await ask(address));
          if (seen.size < names.length) throw new Error([...seen].join());
        });
      }
      const held: Held[] = [];
      toStop.push(() => {
        for (const one of held) one.close();
      });
      for (const { address } of machines)
        for (let left = 9; left > 0; left -= 1) {
          const one = new Held(address);
          held.push(one);
          // One after the other: the peers' programs let hardly any connection wait.
          await one.greeted();
        }
      const on = (peer: string) => held.filter((one) => one.peer === peer);
      for (const name of names) expect(on(name), name).to.not.be.empty;

      await containers.get("one")?.kill();
      for (const { address } of machines)
        for (let round = 0; round < 5; round += 1)
          expect(await ask(address), "new connections find another peer").to.not.equal("one");
      await until(
        "connections to the dead peer are over",
        () => on("one").every((one) => !one.isOpen),
        {
          deadlineMs: 30_000,
        },
      );
      for (const one of [...on("two"), ...on("three")]) expect(await one.answers()).to.equal(true);

      const [dead, ...living] = machines;
      await dead?.crash();
      for (const { address } of living) expect(await ask(address)).to.be.oneOf(["two", "three"]);
      for (const one of [...on("two"), ...on("three")])
        if (one.machine !== dead?.address) expect(await one.answers()).to.equal(true);
      await until("connections through the dead machine are over", () =>
        held.every((one) => one.machine !== dead?.address || !one.isOpen),
      );

      await writes.remove("listeners/echo");
      for (const { address } of living)
        await eventually(`${address} is closed`, async () => {
          const outcome = await ask(address).catch((error) => error.code);
          expect(outcome).to.equal("ECONNREFUSED");
        });
    });
  });
