/**
 * Writes an HTTP/2 request as the text of a head, so that one reader decides about path, host, forwarding fields,
 * names and limits, whatever the client speaks. What HTTP/2 says in its own way is put into HTTP/1.1's words (RFC
 * 9113 section 8.3). What HTTP/2 forbids was refused before.
 */
import { type Refusal, refuse } from "../../message/grammar.ts";

/** `raw`: names and values alternately, as they came. Returns the head's text, or why it is refused. */
export function requestText(raw: readonly string[], maxHeadBytes: number): string | Refusal {
  let method = "";
  let path = "";
  let scheme = "http";
  let authority: string | null = null;
  let cookie = "";
  let lines = "";
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? "";
    const value = raw[at + 1] ?? "";
    switch (name) {
      case ":method":
        method = value;
        break;
      case ":path":
        path = value;
        break;
      case ":scheme":
        scheme = value;
        break;
      case ":authority":
        authority = value;
        break;
      case "host":
        // There is one story about the host: `:authority` and `Host` must not differ (RFC 9113 section 8.3.1).
        if (authority === null) lines += `host: ${value}\r\n`;
        else if (authority.toLowerCase() !== value.toLowerCase()) {
          return refuse("two_hosts", "Host is not what :authority says");
        }
        break;
      case "cookie":
        // Clients split cookies to compress them better (RFC 9113 section 8.2.3).
        cookie = cookie === "" ? value : `${cookie}; ${value}`;
        break;
      default:
        lines += `${name}: ${value}\r\n`;
    }
  }
  if (scheme !== "http" && scheme !== "https") {
    return refuse("bad_scheme", "the only schemes here are http and https");
  }
  if (method === "CONNECT") path = authority ?? "";
  else if (!path.startsWith("/") && path !== "*") {
    return refuse("bad_target", "the request target is malformed");
  }
  if (authority !== null) lines = `host: ${authority}\r\n${lines}`;
  if (cookie !== "") lines += `cookie: ${cookie}\r\n`;
  const text = `${method} ${path} HTTP/1.1\r\n${lines}\r\n`;
  if (text.length <= maxHeadBytes) return text;
  const message = `the request head is longer than ${maxHeadBytes} bytes`;
  return { status: 431, code: "head_too_large", message };
}
