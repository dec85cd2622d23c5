/** Which addresses are free. Holds none of them: what is free now may be taken a moment later. */
import { once } from "node:events";
import { createServer } from "node:net";
import { type Address, formatAddress } from "../settings-values.ts";

/**
 * The address (port 0: any) with a port that can be listened on now; `null` when its port is in use. Rejects with
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

/** A URL of this machine that reaches what listens on the address. */
export function urlOf({ host, port }: Address): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${formatAddress({ host: reachable, port })}`;
}
