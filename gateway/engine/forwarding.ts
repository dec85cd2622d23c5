/** The `X-Forwarded-*` lines of a request that a trusted proxy sent: believed as far as they make sense. */
import { isAuthority } from "./authority.ts";

const isAddressList = /^[0-9A-Fa-f:., \t[\]"_a-z-]{1,1024}$/;

/** What the proxy in front said; empty where it said nothing. */
export interface Forwarded {
  readonly forwardedFor: string;
  readonly forwardedProto: string;
  readonly forwardedHost: string;
}

/** What it says, with its own address added; each line with its CR LF. */
export function forwardedLines(said: Forwarded, address: string, authority: string): string {
  const before = isAddressList.test(said.forwardedFor) ? `${said.forwardedFor}, ` : "";
  const proto = said.forwardedProto.toLowerCase() === "https" ? "https" : "http";
  const host = isAuthority(said.forwardedHost) ? said.forwardedHost : authority;
  return `X-Forwarded-For: ${before}${address}\r\nX-Forwarded-Proto: ${proto}\r\nX-Forwarded-Host: ${host}\r\n`;
}
