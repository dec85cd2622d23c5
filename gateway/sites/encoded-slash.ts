/** Paths with an encoded slash: some readers take it for a slash, so what they ask for is not certain. */
import type { Exchange } from "../engine/engine.ts";
import { encodedSlash } from "../engine/message/answers.ts";
import type { Site } from "./site.ts";

/** Whether such a path is refused at a site; `isMatched`: a script's `match` looks at the path. */
export function refusesEncodedSlash({ rules }: Site, isMatched: boolean): boolean {
  return rules?.refusesEncodedSlash(isMatched) ?? isMatched;
}

export function failEncodedSlash(exchange: Exchange<unknown>): void {
  const { status, code, message } = encodedSlash;
  exchange.fail(status, code, message);
}
