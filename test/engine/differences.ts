/**
 * Where the reference engine differs from the contract's behaviours because `node:http` does,
 * each with its effect and its reason. Whatever is not named here must be the same.
 */

export interface Difference {
  /** The title of the suite, as given to `describeEngines`. */
  readonly suite: string;
  /** The title of the test. It is run on the reference engine too, and must fail there. */
  readonly test: string;
  /** What the test must say that it found instead: any other failure is a defect. */
  readonly effect: RegExp;
  readonly reason: string;
}

export const differences: readonly Difference[] = [
  {
    suite: "answers without a body",
    test: "reads an answer to HEAD without any framing",
    effect: /to have a length of 1 but got 2$/,
    reason: "node:http does not keep the connection of an answer to HEAD without framing headers",
  },
  {
    suite: "bodies of requests",
    test: "never passes on a trailer that would decide on framing, routing or rights",
    effect: /^expected '400 bad_chunk: .* to equal 'ok'$/,
    reason: "node:http refuses a body whose trailers have Content-Length or Transfer-Encoding",
  },
  {
    suite: "PROXY headers",
    test: "are nothing that a method named PROXY would be",
    effect: /^expected 'HTTP\/1\.1 400 .* to match \/\^HTTP/s,
    reason: "node:http knows no other methods than its own",
  },
  {
    suite: "headers of requests",
    test: "reach the origin in their order, repeated ones too, as they were written",
    effect: /^expected \[ 'x-lower: a', 'X-UPPER: B', …\(4\) \] to deeply equal \[ .*, …\(6\) \]$/,
    reason: "node:http sends the lines of one name together, and joins several Cookie lines",
  },
  {
    suite: "headers of requests",
    test: "are given raw to the handler as they came, before any change",
    effect:
      /^expected 'Host: shop\.example\\r\\nX-One: 1\\r\\nCon…' to equal 'Host: shop\.example\\r\\nX-One: {2}1 \\r\\nC…'$/,
    reason: "node:http drops the white space around a value",
  },
  {
    suite: "deadlines",
    test: "a further head that stops is answered with 408",
    effect: /^the connection closed without an answer$/,
    reason:
      "node:http does not say that a head began: one that came with the request before is idleness",
  },
  {
    suite: "RFC 9110",
    test: "are case-sensitive, and unknown ones are passed on",
    effect: /^0 requests$/,
    reason: "node:http knows the methods of a list only",
  },
  {
    suite: "heads that come byte by byte",
    test: "are refused with 414 target_too_long: one whose target does not end",
    effect: /^expected 408 to equal 414$/,
    reason:
      "node:http shows a target when its head is whole: 408 follows when the head's time is up",
  },
  {
    suite: "heads that come byte by byte",
    test: "are refused with 400 bad_line_end: one with a line that ends with LF alone, before its end",
    effect: /^expected 505 to equal 400$/,
    reason: "node:http calls a bare LF behind the version a bad version",
  },
  {
    suite: "heads that come byte by byte",
    test: "are not begun by a blank line: what follows is silence between requests, not a late head",
    effect: /expected 203 to equal \+0$/,
    reason: "node:http does not say that what it read were blank lines: they are answered with 408",
  },
  {
    suite: "heads that come byte by byte",
    test: "cannot be held open for ever by blank lines",
    effect: /expected 203 to equal \+0$/,
    reason: "node:http does not say that what it read were blank lines: they are answered with 408",
  },
];

/** What `node:http` takes though the contract refuses it, by the names of the tables. */
export const lenient: ReadonlyMap<string, string> = new Map([
  ["a chunk size of 400 digits", "node:http takes any number of leading zeros"],
]);
