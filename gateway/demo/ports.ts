/** Which addresses are free. Holds none of them: what is free now may be taken a moment later. */
import { once } from "node:events";
import { createServer } from "node:net";

export interface Address {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/**
 * The address with a port that can be listened on now; `null` when its port is in use. Rejects with
 * the socket's error when it cannot be listened on for another reason (`EACCES`, `EADDRNOTAVAIL`).
 */
export async function freeAddress(address: Address): Promise<Address | null> {
  const server = createServer();
  server.listen(address.port, address.host);
  try {
    await once(server, "listening");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return null;
    throw error;
  }
  const bound = server.address();
  server.close();
  await once(server, "close");
  const port = bound !== null && typeof bound === "object" ? bound.port : address.port;
  return { host: address.host, port };
}

/** As `host:port`, an IPv6 address in brackets. */
export function written({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A URL of this machine that reaches what listens on the address. */
export function urlOf({ host, port }: Address): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${written({ host: reachable, port })}`;
}
