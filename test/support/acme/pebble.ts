/** Pebble, Let's Encrypt's ACME authority for tests, as a process with a DNS server of its own, where a machine has it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPebble } from "../../../tools/pebble.mjs";
import { TestAuthority } from "../certificates.ts";
import { freePort } from "../ports.ts";
import { eventually } from "../registered.ts";
import type { AuthorityUnderTest, Places } from "./authority.ts";

export { findPebble };

export class Pebble implements AuthorityUnderTest {
  readonly ca: string;
  readonly directory: string;
  readonly #folder: string;
  readonly #children: readonly ChildProcess[];
  readonly #doors: readonly Server[];
  readonly #places: { http: number; https: number };

  private constructor(
    made: Pick<Pebble, "ca" | "directory">,
    folder: string,
    children: readonly ChildProcess[],
    doors: readonly Server[],
    places: { http: number; https: number },
  ) {
    this.ca = made.ca;
    this.directory = made.directory;
    this.#folder = folder;
    this.#children = children;
    this.#doors = doors;
    this.#places = places;
  }

  /** `binaries`: the directory with its programs. */
  static async start(binaries: string): Promise<Pebble> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-pebble-"));
    const door = new TestAuthority("Pebble's door");
    const { cert, key } = door.issue({ names: ["localhost"] });
    const places = { http: 0, https: 0 };
    // Pebble has to know the ports before the gateways that listen there are started.
    const doors = await Promise.all([forwarder(() => places.http), forwarder(() => places.https)]);
    const [httpPort, tlsPort] = doors.map(portOf);
    const [listen, management, dns] = [await freePort(), await freePort(), await freePort()];
    const dnsManagement = await freePort();
    const pebble = {
      listenAddress: `127.0.0.1:${listen}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: join(folder, "door.crt"),
      privateKey: join(folder, "door.key"),
      ...{ httpPort, tlsPort, ocspResponderURL: "" },
      externalAccountBindingRequired: false,
      domainBlocklist: ["blocked.example"],
    };
    await writeFile(join(folder, "door.crt"), cert);
    await writeFile(join(folder, "door.key"), key);
    await writeFile(join(folder, "config.json"), JSON.stringify({ pebble }));
    const run = (name: string, args: readonly string[]) => {
      // It refuses one nonce of a hundred: clients ask again, but not for ever, and the tests are to meet that never.
      const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "1" };
      const child = spawn(join(binaries, name), args, { env, stdio: "ignore" });
      const onExit = () => child.kill("SIGKILL");
      process.once("exit", onExit);
      child.once("exit", () => process.off("exit", onExit));
      return child;
    };
    const none = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""];
    const children = [
      run("pebble-challtestsrv", [
        ...["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", `127.0.0.1:${dns}`],
        ...["-management", `127.0.0.1:${dnsManagement}`, ...none],
      ]),
      run("pebble", ["-config", join(folder, "config.json"), "-dnsserver", `127.0.0.1:${dns}`]),
    ];
    const directory = `https://localhost:${listen}/dir`;
    const started = new Pebble({ ca: door.cert, directory }, folder, children, doors, places);
    try {
      for (const port of [listen, dnsManagement])
        await eventually("pebble and its DNS server listen", () => reach(port));
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  asksAt({ http, https }: Places): void {
    this.#places.http = http;
    this.#places.https = https;
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    for (const door of this.#doors) await once(door.close(), "close");
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Passes connections on to a port that is known later. */
async function forwarder(port: () => number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const peer = connect({ host: "127.0.0.1", port: port(), allowHalfOpen: true });
    for (const socket of [client, peer])
      socket.on("error", () => {
        client.destroy();
        peer.destroy();
      });
    client.pipe(peer);
    peer.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP socket");
  return address.port;
}

async function reach(port: number): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}
