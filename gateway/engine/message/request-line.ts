/** What is wrong with a request line on its own, before the rest of its head has come. */
import { isAuthority } from "./authority.ts";
import { explainRequestLine, type Refusal, refuse } from "./grammar.ts";
import { checkEscapes } from "./path.ts";

/**
 * A target in absolute form: its authority, and the rest. Only `http` is allowed, since no client asks for `https`
 * over a plain connection (RFC 9110 section 7.4).
 */
export const absoluteForm = /^http:\/\/([^/?]*)([/?].*)?$/i;

/** CONNECT asks for a tunnel to any place, which the gateway does not open. */
export const connectRefusal: Refusal = {
  status: 405,
  code: "no_connect",
  message: "CONNECT is not served here",
};

/** Each option in `Connection` costs a look at every field, and more options than fields make no sense. */
export function tooManyOptions(maxHeaders: number): Refusal {
  const message = `Connection names more than ${maxHeaders} fields`;
  return { status: 431, code: "too_many_headers", message };
}

/** Why a request with this line is refused whatever follows; `null` when that depends on what follows. */
export function refuseLine(line: string): Refusal | null {
  const refusal = explainRequestLine(line);
  if (refusal !== null) return refusal;
  const [method = "", target = ""] = line.split(" ", 2);
  if (method === "CONNECT") return connectRefusal;
  if (target.startsWith("/")) return checkEscapes(target);
  if (target === "*") {
    return method === "OPTIONS" ? null : refuse("bad_target", "only OPTIONS may ask for *");
  }
  const [, authority, rest = ""] = absoluteForm.exec(target) ?? [];
  if (authority === undefined) return refuse("bad_target", "the request target is malformed");
  return isAuthority(authority) ? checkEscapes(rest) : refuse("bad_host", "the host is malformed");
}
