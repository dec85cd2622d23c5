/** OPTIONS and TRACE, which a client may have answered by a proxy on the way (RFC 9110 section 7.6.2). */

import type { Answer, Exchange } from "../engine.ts";
import { allowedMethods } from "../message/answers.ts";

/**
 * The answer of the gateway's own when `Max-Forwards` says that the request goes no further; `null` when
 * it goes on, with one forward less. To be asked once for each request.
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
  // To show a request to whoever sent it tells him what the proxies in between have added.
  return { status: method === "TRACE" ? 405 : 200, headers: { allow: allowedMethods } };
}
