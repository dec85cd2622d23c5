/**
 * Keeps out clients with certain addresses. Behind a trusted proxy, the client's address is the one that the
 * proxy names.
 */
import type { Plugin } from "../plugin.ts";
import type { IpDenyOptions } from "./schema.ts";

export const ipDeny: Plugin<IpDenyOptions> = {
  name: "ipDeny",
  summary: "Answers 403 to clients of these addresses.",
  create: ({ addresses }, tools) => {
    const isDenied = tools.addresses(addresses);
    return {
      onRequest: (exchange) => {
        if (!isDenied(exchange.clientAddress)) return true;
        exchange.fail(403, "ip_denied", "this address has no access");
        return false;
      },
    };
  },
};
