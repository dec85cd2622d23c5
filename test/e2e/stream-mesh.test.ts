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
import { MeshLoad, type Transfer } from "./mesh-load.ts";

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
    await until("the peer says its name", hasSaid);
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
    this.timeout(600_000);
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
      for (const { address } of machines)
        await eventually(`the gateway of ${address} serves`, async () => {
          const answer = await fetch(`http://${address}:8080/`);
          await answer.arrayBuffer();
        });
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

    /** Resolves when the container's processes are gone. */
    async function killed(name: string): Promise<void> {
      const container = containers.get(name);
      await container?.kill();
      await eventually(`${name} is dead`, async () =>
        expect((await container?.inspect())?.State.Running).to.equal(false),
      );
    }
    /** @param open for each connection that was open, whether it was there. */
    const tell = (what: string, open: readonly boolean[], failed: number) => {
      const there = open.filter((isThere) => isThere).length;
      const elsewhere = open.length - there;
      console.log(
        `      a ${what} died with ${there} connections: ${failed} failed, 0 of ${elsewhere} elsewhere`,
      );
    };

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
      const addresses = machines.map(({ address }) => address);
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

      const load = new MeshLoad(addresses, port, 2);
      toStop.push(() => load.stop());
      const moved = async (where: readonly string[], what: string) => {
        const before = new Map(where.map((machine) => [machine, load.good(machine)]));
        const hasMoved = (machine: string) => load.good(machine) >= (before.get(machine) ?? 0) + 20;
        await until(`${what}: connections go on`, () => where.every(hasMoved), {
          describe: () => load.failed,
        });
      };
      await moved(addresses, "at first");
      expect(load.failed).to.deep.equal([]);

      const whenPeerDied = [...load.open, ...held].map(({ peer }) => peer === "one");
      await killed("one");
      const deadMs = performance.now();
      await moved(addresses, "after the peer's death");
      // One that had not been greeted may have been on its way to the peer while that lived.
      const isPeers = ({ peer, startedMs }: Transfer) =>
        peer === "one" || (peer === "" && startedMs < deadMs);
      const byPeer = [...load.failed];
      expect(
        byPeer.filter((one) => !isPeers(one)),
        "others than the peer's",
      ).to.deep.equal([]);
      for (const { address } of machines)
        for (let round = 0; round < 5; round += 1)
          expect(await ask(address), "new connections find another peer").to.not.equal("one");
      await until("connections to the dead peer are over", () =>
        on("one").every((one) => !one.isOpen),
      );
      const others = [...on("two"), ...on("three")];
      for (const one of others) expect(await one.answers()).to.equal(true);
      tell("peer", whenPeerDied, byPeer.length + on("one").length);

      const [dead, ...living] = machines;
      const gone = dead?.address ?? "";
      const livingAddresses = living.map(({ address }) => address);
      load.leave(gone);
      const whenMachineDied = [...load.open, ...others].map(({ machine }) => machine === gone);
      await dead?.crash();
      await moved(livingAddresses, "after the machine's death");
      for (const { address } of living) expect(await ask(address)).to.be.oneOf(["two", "three"]);
      for (const one of others)
        if (one.machine !== gone) expect(await one.answers()).to.equal(true);
      await until("connections through the dead machine are over", () =>
        others.every((one) => one.machine !== gone || !one.isOpen),
      );
      await load.stop();
      const byMachine = load.failed.slice(byPeer.length);
      expect(
        byMachine.filter(({ machine }) => machine !== gone),
        "others than the machine's",
      ).to.deep.equal([]);
      const lost = others.filter(({ machine }) => machine === gone);
      tell("machine", whenMachineDied, byMachine.length + lost.length);

      await writes.remove("listeners/echo");
      for (const { address } of living)
        await eventually(`${address} is closed`, async () => {
          const outcome = await ask(address).catch((error) => error.code);
          expect(outcome).to.equal("ECONNREFUSED");
        });
    });
  });
