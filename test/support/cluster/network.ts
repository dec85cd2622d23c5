/**
 * Machines for tests as network namespaces, each with an address of its own on a switch that nothing else is on. What the
 * test process starts itself is a machine, too: it has the first address. Changes nothing of the machine's own network.
 */
import { execFile, spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** A machine of the network. */
export interface Machine {
  readonly address: string;
  /** The command that runs `program` on it; the process is the program's own. */
  on(program: string, args: readonly string[]): readonly [program: string, args: readonly string[]];
  /** From now on nothing that `other` sends arrives here, without a word to anybody. */
  cut(other: string): Promise<void>;
  /** Ends every cut. */
  heal(): Promise<void>;
}

export class Network {
  /** Of the test process. */
  readonly address: string;
  readonly #name: string;
  readonly #hub: string;
  readonly #net: string;
  readonly #names: string[] = [];
  readonly #onExit = () => this.#removeNow();

  private constructor() {
    this.#net = freeNet();
    this.#name = `sl${process.pid.toString(36)}`;
    this.#hub = `${this.#name}-hub`;
    this.address = `${this.#net}.1`;
  }

  static async open(): Promise<Network> {
    const network = new Network();
    process.once("exit", network.#onExit);
    try {
      await network.#open();
    } catch (error) {
      network.close();
      throw error;
    }
    return network;
  }

  async add(name: string): Promise<Machine> {
    const space = `${this.#name}-${name}`;
    const index = this.#names.length + 1;
    const address = `${this.#net}.${index + 1}`;
    await this.#namespace(space);
    await ip(
      ...["link", "add", "eth0", "netns", space, "type", "veth"],
      ...["peer", "name", `port${index}`, "netns", this.#hub],
    );
    await ip("-n", space, "addr", "add", `${address}/24`, "dev", "eth0");
    await ip("-n", space, "link", "set", "eth0", "up");
    await this.#plug(`port${index}`);
    const rule = (...args: readonly string[]) =>
      execute("ip", ["netns", "exec", space, "iptables", "--wait", ...args]);
    return {
      address,
      on: (program, args) => ["ip", ["netns", "exec", space, program, ...args]],
      cut: async (other) => {
        await rule("-A", "INPUT", "-s", other, "-j", "DROP");
      },
      heal: async () => {
        await rule("-F", "INPUT");
      },
    };
  }

  /** Removes all; processes on its machines must have ended. May be called twice. */
  close(): void {
    process.off("exit", this.#onExit);
    this.#removeNow();
  }

  async #open(): Promise<void> {
    await this.#namespace(this.#hub);
    await ip("-n", this.#hub, "link", "add", "switch", "type", "bridge");
    await ip("-n", this.#hub, "link", "set", "switch", "up");
    const peer = ["type", "veth", "peer", "name", "port0", "netns", this.#hub];
    await ip("link", "add", this.#name, ...peer);
    await ip("addr", "add", `${this.address}/24`, "dev", this.#name);
    await ip("link", "set", this.#name, "up");
    await this.#plug("port0");
  }

  async #namespace(name: string): Promise<void> {
    await ip("netns", "add", name);
    this.#names.push(name);
    await ip("-n", name, "link", "set", "lo", "up");
  }

  async #plug(port: string): Promise<void> {
    await ip("-n", this.#hub, "link", "set", port, "master", "switch", "up");
  }

  /** Also at the end of a process that dies, where nothing can be waited for. */
  #removeNow(): void {
    for (const name of this.#names.splice(0)) spawnSync("ip", ["netns", "delete", name]);
    spawnSync("ip", ["link", "delete", this.#name], { stdio: "ignore" });
  }
}

/** Why there can be no network of machines here; `null`: there can. */
export function whyNoNetwork(): string | null {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  for (const [program, ...args] of [
    ["ip", "netns", "list"],
    ["iptables", "--version"],
  ] as const) {
    const { status } = spawnSync(program, args, { stdio: "ignore" });
    if (status !== 0) return `"${program} ${args.join(" ")}" fails`;
  }
  return null;
}

/**
 * Of the addresses that are set apart for measurements (RFC 2544), so that none of the machine's is among them. Another
 * one for each process, as a rule, and none that a run which was killed has left.
 */
function freeNet(): string {
  const taken = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  for (let tries = 0; tries < 512; tries += 1) {
    const at = (process.pid + tries) % 512;
    const net = `198.${18 + (at % 2)}.${at >> 1}`;
    if (!taken.some(({ address }) => address.startsWith(`${net}.`))) return net;
  }
  throw new Error("no free network under 198.18.0.0/15");
}

async function ip(...args: readonly string[]): Promise<void> {
  await execute("ip", [...args]);
}
