/**
 * Where no peer may be: the gateway's own admin API and Consul's API. A request that a stranger sent would come
 * from a machine that they trust. The primary leaves such servers out, and the engine looks at each connection
 * that it makes, since a name may resolve to anything.
 */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { familyOf, plainAddress, plainName } from "./foreign-requests.ts";

/** Plain data: workers are told it. */
export interface OwnAddress {
  /** As an operator is told: `Consul's API`. */
  readonly what: string;
  /** An address, or a name that the resolver knows; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** If it is on this machine, it may listen on each of its addresses. */
  readonly isEverywhere: boolean;
}

/** `admin`: where it is bound. Where on this machine a Consul agent listens besides nobody knows. */
export function ownPlaces(
  admin: { readonly host: string; readonly port: number },
  consulUrl: string,
): readonly OwnAddress[] {
  const { protocol, hostname: host, port } = new URL(consulUrl);
  const usual = protocol === "https:" ? 443 : 80;
  return [
    { ...admin, what: "the gateway's admin API", isEverywhere: false },
    {
      what: "Consul's API",
      host: host.replace(/^\[(.*)\]$/, "$1"),
      port: port === "" ? usual : Number(port),
      isEverywhere: true,
    },
  ];
}

export interface OwnAddressesOptions {
  /** Every address of this machine. Default: as the system has them. */
  readonly interfaces?: () => readonly string[];
  /** Every address that a name has. Default: as the system resolves it. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
}

/** Names may move, and so may the machine's own addresses. */
const refreshMs = 60_000;
/** A resolver that does not answer must hold up nobody for long. */
const firstRefreshMs = 2_000;
const loopback = [
  ["127.0.0.0", 8, "ipv4"],
  // A connection to "any address" is one to this machine.
  ["0.0.0.0", 32, "ipv4"],
  ["::1", 128, "ipv6"],
  ["::", 128, "ipv6"],
] as const;

interface Place {
  readonly own: OwnAddress;
  /** Names that mean it without being resolved. */
  readonly names: ReadonlySet<string>;
  readonly addresses: BlockList;
}

export class OwnAddresses {
  #own: readonly OwnAddress[];
  readonly #interfaces: () => readonly string[];
  readonly #resolve: (name: string) => Promise<readonly string[]>;
  readonly #resolved = new Map<string, readonly string[]>();
  #places: readonly Place[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(own: readonly OwnAddress[], options: OwnAddressesOptions = {}) {
    this.#own = own;
    this.#interfaces = options.interfaces ?? systemAddresses;
    this.#resolve = options.resolve ?? resolveAll;
    this.#build();
  }

  /**
   * Resolves names from now on, once a minute; for the first time before it resolves itself, unless that takes
   * long. Holds up no process's end. `own`: what there is now. Default: as before.
   */
  async start(own = this.#own): Promise<void> {
    this.#own = own;
    this.#build();
    this.#timer ??= setInterval(() => void this.#refresh(), refreshMs).unref();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, firstRefreshMs);
    await Promise.race([this.#refresh(), late.promise]);
    clearTimeout(timer);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** What is at `host:port`; `null` for anything else, and for a name of which only a connection tells. */
  find(host: string, port: number): string | null {
    for (const { own, names, addresses } of this.#places) {
      if (own.port !== port) continue;
      const address = plainAddress(host.replace(/^\[(.*)\]$/, "$1"));
      const family = familyOf(address);
      const isIt = family === null ? names.has(plainName(host)) : addresses.check(address, family);
      if (isIt) return own.what;
    }
    return null;
  }

  async #refresh(): Promise<void> {
    const names = this.#own
      .map(({ host }) => host)
      .filter((host) => host !== "" && isIP(host) === 0);
    for (const name of new Set(names)) {
      // A name that cannot be resolved now is what it was.
      const found = await this.#resolve(name).catch(() => null);
      if (found !== null) this.#resolved.set(name, found);
    }
    this.#build();
  }

  #build(): void {
    const interfaces = this.#interfaces();
    const machine = new BlockList();
    for (const [address, bits, family] of loopback) machine.addSubnet(address, bits, family);
    for (const address of interfaces) add(machine, address);
    const machineNames = ["localhost", plainName(hostname())];
    this.#places = this.#own.map((own) => {
      const given = isIP(own.host) === 0 ? (this.#resolved.get(own.host) ?? []) : [own.host];
      const addresses = new BlockList();
      for (const address of given) add(addresses, address);
      const names = new Set([plainName(own.host)]);
      const isHere = (address: string) =>
        isAny(address) || (own.isEverywhere && has(machine, address));
      if (given.some(isHere)) {
        for (const name of machineNames) names.add(name);
        return { own, names, addresses: machine };
      }
      if (given.some((address) => has(loopbackOnly, address))) {
        names.add("localhost");
        for (const any of ["0.0.0.0", "::"]) add(addresses, any);
      }
      return { own, names, addresses };
    });
  }
}

const loopbackOnly = new BlockList();
loopbackOnly.addSubnet("127.0.0.0", 8, "ipv4");
loopbackOnly.addAddress("::1", "ipv6");

function isAny(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

function has(list: BlockList, address: string): boolean {
  const family = familyOf(address);
  return family !== null && list.check(address, family);
}

function add(list: BlockList, address: string): void {
  const plain = plainAddress(address);
  const family = familyOf(plain);
  if (family !== null) list.addAddress(plain, family);
}

function systemAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((one) => one.address));
}

async function resolveAll(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
