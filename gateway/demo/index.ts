/**
 * The door of the demo: everything of Sluice on one machine, to be tried with curl. What `npm start`
 * runs. It is a show; nothing of the gateway depends on it.
 */
import { once } from "node:events";
import type { Log } from "../observability/logger.ts";
import { type Address, formatAddress } from "../settings-values.ts";
import { Demo, DemoError } from "./demo.ts";
import { freeAddress } from "./ports.ts";
import { tour, writeTour } from "./tour.ts";

export interface DemoOptions {
  /** Where the gateway accepts requests; port 0 for any. Default `127.0.0.1:8080`. */
  readonly http?: Address;
  /** Where it accepts those from inside, as its `--internal`; port 0 for any. Default `127.0.0.1:8081`. */
  readonly internal?: Address;
  /** The gateway's admin address; port 0 for any. Default `127.0.0.1:1995`. */
  readonly admin?: Address;
  /** The agent's address. Another port is used when this one is taken. Default `127.0.0.1:8500`. */
  readonly agent?: Address;
  readonly log: Log;
  /** Takes one line for the user. */
  readonly print: (line: string) => void;
  /** Ends the demo, as SIGINT, SIGTERM and SIGHUP do. */
  readonly signal?: AbortSignal;
}

const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Above the agent's own, when that is taken. */
const portsTried = 100;

/** npm passes a Ctrl-C on that the terminal has sent already: within this time it is the same one. */
const sameSignalMs = 250;

/**
 * Runs the demo until a signal ends it; then everything that it started has ended too. A second
 * signal ends it the hard way. Rejects with a `DemoError`, one line, when a port is in use or a part
 * of it fails; nothing is left running then either.
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { print, log } = options;
  const http = await freeOrThrow("--http", options.http ?? { host: "127.0.0.1", port: 8080 });
  const inside = options.internal ?? { host: "127.0.0.1", port: 8081 };
  const internal = await freeOrThrow("--internal", inside);
  const admin = await freeOrThrow("--admin", options.admin ?? { host: "127.0.0.1", port: 1995 });
  const wanted = options.agent ?? { host: "127.0.0.1", port: 8500 };
  const agent = await findAgentAddress(wanted, [http, internal, admin], print);
  const demo = await Demo.create({ http, internal, admin, agent }, log);

  const end = new AbortController();
  let firstMs: number | null = null;
  const onSignal = (): void => {
    if (firstMs === null) firstMs = performance.now();
    else if (performance.now() - firstMs > sameSignalMs) demo.kill();
    end.abort();
  };
  for (const name of endSignals) process.on(name, onSignal);
  const signal = options.signal ? AbortSignal.any([end.signal, options.signal]) : end.signal;
  try {
    print("Starting an agent, a gateway with two workers and three services ...");
    const places = await demo.start(signal, (name, how) => print(`[${name} has ended: ${how}]`));
    print(
      `The gateway listens on ${places.httpUrl}, for hosts with documents and tagged services,`,
    );
    print(`and on ${places.internalUrl}, for every service; the agent on ${places.agentUrl}.`);
    print("To try, in another terminal:");
    print("");
    for (const line of writeTour(tour(places))) print(line);
    print("Ctrl-C ends everything.");
    if (!signal.aborted) await Promise.race([once(signal, "abort"), demo.broken]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    if (signal.aborted) print("Ending ...");
    await demo.stop();
    for (const name of endSignals) process.off(name, onSignal);
  }
}

async function freeOrThrow(flag: string, address: Address): Promise<Address> {
  const free = await freeOrNull(flag, address);
  if (free === null)
    throw new DemoError(
      `${flag} ${formatAddress(address)}: the port is in use; end what uses it or name another`,
    );
  return free;
}

async function findAgentAddress(
  wanted: Address,
  others: readonly Address[],
  print: (line: string) => void,
): Promise<Address> {
  const free = await freeOrNull("--agent", wanted);
  if (free !== null) return free;
  const other = await nextFree(wanted, new Set(others.map(({ port }) => port)));
  print(
    `Something listens on ${formatAddress(wanted)} already: the demo's agent uses ${formatAddress(other)}.`,
  );
  return other;
}

/**
 * The next port that is free: one that the system gives out could be a connection's before the agent listens on
 * it.
 */
async function nextFree({ host, port }: Address, others: ReadonlySet<number>): Promise<Address> {
  for (let next = port + 1; next <= Math.min(port + portsTried, 65_535); next += 1) {
    const free = others.has(next) ? null : await freeOrNull("--agent", { host, port: next });
    if (free !== null) return free;
  }
  throw new DemoError(
    `--agent ${formatAddress({ host, port })}: this port and the next are in use`,
  );
}

async function freeOrNull(flag: string, address: Address): Promise<Address | null> {
  try {
    return await freeAddress(address);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DemoError(`${flag} ${formatAddress(address)}: ${reason}`);
  }
}
