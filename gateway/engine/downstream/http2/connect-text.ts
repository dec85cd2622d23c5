/**
 * Writes an extended CONNECT (RFC 8441) as the text of the request by which HTTP/1.1 asks for the same protocol, so that
 * it is routed, limited and passed on as that is.
 */
import { type Refusal, refuse } from "../../message/grammar.ts";
import { newKey } from "../../message/web-socket.ts";
import { requestText } from "./request-text.ts";

/** `raw`: names and values alternately, as they came. `protocol`: the value of `:protocol`. */
export function connectText(
  raw: readonly string[],
  protocol: string,
  maxHeadBytes: number,
): string | Refusal {
  if (protocol.toLowerCase() !== "websocket") {
    const message = "the only :protocol here is websocket";
    return { status: 501, code: "unknown_protocol", message };
  }
  const fields: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? "";
    const value = raw[at + 1] ?? "";
    switch (name) {
      case ":method":
        fields.push(name, "GET");
        break;
      case ":protocol":
      // The gateway makes the handshake with the peer, with a key of its own.
      case "sec-websocket-key":
        break;
      case "content-length":
        return refuse("bad_length", "a WebSocket has no Content-Length");
      default:
        fields.push(name, value);
    }
  }
  fields.push("connection", "Upgrade", "upgrade", "websocket", "sec-websocket-key", newKey());
  return requestText(fields, maxHeadBytes);
}
