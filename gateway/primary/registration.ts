/**
 * Where a gateway says that it is there: a key of its own in Consul KV, `gateways/<name>`, with the
 * address of its admin API, for commands that wait until every gateway has something.
 */
import { hostname } from "node:os";
import { type Address, formatAddress } from "../settings-values.ts";

export interface RegistrationOptions {
  readonly name: string;
  /** Where the admin API listens. */
  readonly admin: Address;
  readonly isTls: boolean;
  readonly key: string;
  readonly present: (key: string, value: string) => { start(): void; stop(): Promise<void> };
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

export function registerGateway(options: RegistrationOptions): { stop(): Promise<void> } {
  const { name, admin, isTls, key, present, startedAt } = options;
  const { port } = admin;
  // An address that stands for all of them is none that others could ask.
  const host = admin.host === "0.0.0.0" || admin.host === "::" ? hostname() : admin.host;
  const value = {
    name,
    admin: formatAddress({ host, port }),
    ...(isTls ? { tls: true } : {}),
    pid: process.pid,
    startedAt: new Date(startedAt).toISOString(),
  };
  const presence = present(key, JSON.stringify(value));
  presence.start();
  return presence;
}
