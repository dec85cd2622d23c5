/** OPTIONS and TRACE, which a client may have a proxy on the way answer (RFC 9110 section 7.6.2). */

import type { Answer, Exchange } from "../engine.ts";
import { allowedMethods } from "../message/answers.ts";

/**
 * Returns the gateway's own answer when `Max-Forwards` says that the request goes no further. Otherwise returns `null`
 * and lowers `Max-Forwards` by one, so call it once for each request.
 */
export function answerAsLastRecipient<C>(exchange: Exchange<C>): Answer | null {
  const { method } = exchange;
  if (method !== "OPTIONS" && method !== "TRACE") return null;
  const left = exchange.header("max-forwards");
  if (left === undefined || !/^[0-9]{1,9}$/.test(left)) return null;
  if (Number(left) > 0) {
    exchange.setHeader("Max-Forwards", String(Number(left) - 1));
    return null;
  }
  // Echoing the request would show the client what the proxies in between have added.
  return { status: method === "TRACE" ? 405 : 200, headers: { allow: allowedMethods } };
}
