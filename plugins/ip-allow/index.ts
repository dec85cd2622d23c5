/**
 * Lets in only clients with certain addresses. Behind a trusted proxy, the client's address is the one that the
 * proxy names.
 */
import type { Plugin } from "../plugin.ts";
import type { IpAllowOptions } from "./schema.ts";

export const ipAllow: Plugin<IpAllowOptions> = {
  name: "ipAllow",
  summary: "Answers 403 to clients of other addresses than these.",
  create: ({ addresses }, tools) => {
    const isAllowed = tools.addresses(addresses);
    return {
      onRequest: (exchange) => {
        if (isAllowed(exchange.clientAddress)) return true;
        exchange.fail(403, "ip_not_allowed", "this address has no access");
        return false;
      },
    };
  },
};
