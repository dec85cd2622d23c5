/** Paths with an encoded slash. Some readers take it for a slash, so it is uncertain what such a path asks for. */
import type { Exchange } from "../engine/engine.ts";
import { encodedSlash } from "../engine/message/answers.ts";
import type { Site } from "./site.ts";

/** Whether the site refuses such a path. `isMatched`: a script's `match` looks at the path. */
export function refusesEncodedSlash({ rules }: Site, isMatched: boolean): boolean {
  return rules?.refusesEncodedSlash(isMatched) ?? isMatched;
}

export function failEncodedSlash(exchange: Exchange<unknown>): void {
  const { status, code, message } = encodedSlash;
  exchange.fail(status, code, message);
}
