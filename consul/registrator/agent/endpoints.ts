/**
 * Where the Consul agent itself can be reached, in every spelling that an agent's check could use: no label
 * of a container may have the agent call itself.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { z } from "zod";
import { HostList, plainAddress } from "../../../gateway/foreign-requests.ts";

/** An agent's answer to `/v1/agent/self`, as far as it is needed; a token may not show all of it. */
export const agentSelf = z.object({
  Member: z.object({ Addr: z.string().default(""), Port: z.number().nullish() }).nullish(),
  DebugConfig: z.record(z.string(), z.unknown()).nullish(),
});

/** Of the client's own options; its types leave them out. */
const clientOptions = z.object({
  _opts: z.object({
    baseUrl: z.object({
      protocol: z.string(),
      hostname: z.string(),
      port: z.string().optional(),
    }),
  }),
});

/** Consul documentation, "Required Ports": for an agent that does not say which it uses. */
const usualPorts = [8300, 8301, 8302, 8500, 8501, 8502, 8503, 8600];
/** From an agent these lead to the agent. */
const itself = ["127.0.0.0/8", "::1", "0.0.0.0/8", "::"];

export interface AgentEndpoints {
  /** Whether `address`, an IP address, with `port` is one of the agent's own listeners. */
  has(address: string, port: number): boolean;
}

/** `client`: the npm client that speaks to it. Rejects when the client is another than expected. */
export async function agentEndpoints(
  client: object,
  self: z.output<typeof agentSelf>,
): Promise<AgentEndpoints> {
  const { protocol, hostname, port } = clientOptions.parse(client)._opts.baseUrl;
  const named = hostname.replace(/^\[(.*)\]$/, "$1");
  const reached = await lookup(named, { all: true }).catch(() => []);
  const addresses = reached.map(({ address }) => plainAddress(address));
  const debug = self.DebugConfig ?? {};
  const isBeside = addresses.some((address) => new HostList(itself).has(address));
  const hosts = new HostList([
    ...itself,
    ...addresses,
    ...addressesIn(self.Member?.Addr),
    ...Object.entries(debug).flatMap(([key, value]) =>
      key === "TaggedAddresses" || addressKey.test(key) ? addressesIn(value) : [],
    ),
    ...(isBeside ? ownAddresses() : []),
  ]);
  const told = portsIn(debug);
  const asked = Number(port) || (protocol === "https:" ? 443 : 80);
  const ports = new Set([
    ...(told.length > 0 ? told : usualPorts),
    ...[asked, self.Member?.Port ?? 0],
  ]);
  return { has: (address, at) => ports.has(at) && hosts.has(plainAddress(address)) };
}

/** `HTTPAddrs`, `ClientAddrs`, `SerfBindAddrLAN`, ...: not addresses of others, as `RetryJoinLAN` is. */
const addressKey = /(?<!Join)Addrs?(LAN|WAN)?$/;
/** `HTTPPort`, `SerfPortLAN`, ...: not the bounds of the ports that proxies may have. */
const portKey = /(?<!Min|Max)Port(LAN|WAN)?$/;

/** `HTTPPort: 8500`, `SerfPortLAN: 8301`, and the ports in `HTTPAddrs: ["tcp://127.0.0.1:8500"]`. */
function portsIn(debug: Readonly<Record<string, unknown>>): number[] {
  return Object.entries(debug).flatMap(([key, value]) => {
    if (portKey.test(key)) return typeof value === "number" && value > 0 ? [value] : [];
    if (!addressKey.test(key)) return [];
    return textsIn(value)
      .map((text) => Number(/:([0-9]{1,5})$/.exec(text)?.[1]))
      .filter((number) => number > 0);
  });
}

/** Every IP address in a text, a list or an object of texts, with or without `tcp://` and a port. */
function addressesIn(value: unknown): string[] {
  return textsIn(value)
    .flatMap((text) => {
      const match = /^(?:[a-z]+:\/\/)?(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::[0-9]+)?$/i.exec(text);
      return [match?.[1] ?? match?.[2] ?? (isIP(text) === 6 ? text : "")];
    })
    .filter((text) => text !== "");
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address.split("%", 1)[0] ?? ""),
  );
}
