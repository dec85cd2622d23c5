/**
 * Limits the rate of requests by client, host or header. All workers of a gateway count together, through the
 * `Limit` among the tools.
 */
import { hash } from "node:crypto";
import type { Exchange } from "../../gateway/engine/engine.ts";
import type { Plugin, PluginTools } from "../plugin.ts";
import type { RateLimitOptions } from "./schema.ts";

/** Longer values of a header are counted by their hash. */
const maxKeyLength = 64;

type KeyOf = (exchange: Exchange<unknown>) => string;

export const rateLimit: Plugin<RateLimitOptions> = {
  name: "rateLimit",
  summary: "Answers 429 to requests above a rate.",
  create: ({ perSecond, burst, by }, tools) => {
    const limit = tools.limit({ perSecond, burst });
    const keyOf = keyFor(by, tools);
    return {
      // Looking for a token would take one.
      rehearse: (exchange, say) => {
        say(
          `takes a token of ${JSON.stringify(keyOf(exchange))}: ${perSecond} a second, up to ${burst}`,
        );
        return true;
      },
      onRequest: (exchange) => {
        const key = keyOf(exchange);
        const waitMs = limit.take(key);
        if (waitMs === 0) return true;
        if (waitMs > 0) {
          refuse(exchange, waitMs);
          return false;
        }
        exchange.hold();
        const { serial } = exchange;
        limit.ask(key, (waitMs) => {
          if (exchange.serial !== serial) return;
          if (waitMs === 0) exchange.resume();
          else refuse(exchange, waitMs);
        });
        return false;
      },
    };
  },
};

function keyFor(by: RateLimitOptions["by"], tools: PluginTools): KeyOf {
  if (by === "client") return (exchange) => tools.clientOf(exchange.clientAddress);
  if (by === "host") return (exchange) => exchange.host;
  return (exchange) => {
    const value = exchange.header(by.header) ?? "";
    return value.length <= maxKeyLength ? value : hash("sha256", value);
  };
}

function refuse(exchange: Exchange<unknown>, waitMs: number): void {
  exchange.fail(429, "rate_limited", "too many requests", {
    "Retry-After": `${Math.ceil(waitMs / 1_000)}`,
  });
}
