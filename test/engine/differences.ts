/**
 * Where the reference engine differs from the contract's behaviours because `node:http` or
 * http-proxy-3 does, each with its reason. Whatever is not named here must be the same.
 */

export interface Difference {
  /** The title of the suite, as given to `describeEngines`. */
  readonly suite: string;
  /** The title of the test. It is run on the reference engine too, and must fail there. */
  readonly test: string;
  readonly reason: string;
}

export const differences: readonly Difference[] = [
  {
    suite: "answers without a body",
    test: "reads an answer to HEAD without any framing",
    reason: "node:http does not keep the connection of an answer to HEAD without framing headers",
  },
  {
    suite: "bodies of requests",
    test: "never passes on a trailer that would decide on framing, routing or rights",
    reason: "node:http refuses a body whose trailers have Content-Length or Transfer-Encoding",
  },
  {
    suite: "headers of requests",
    test: "reach the origin in their order, repeated ones too, as they were written",
    reason: "node:http sends the lines of one name together, and joins several Cookie lines",
  },
  {
    suite: "headers of requests",
    test: "are given raw to the handler as they came, before any change",
    reason: "node:http drops the white space around a value",
  },
  {
    suite: "connections that end at the worst moment",
    test: "time out when neither side takes what the other sends",
    reason: "its deadlines stop while either side is held back, so also while both are",
  },
  {
    suite: "connections that requests share",
    test: "takes the one that another request is done with while its own is on its way",
    reason: "the agent of node:http binds a request to the connection that was opened for it",
  },
  {
    suite: "connections that requests share",
    test: "closes a kept connection for it when the peer has all it may have",
    reason:
      "the agent of node:http gives a request that is sent again whichever connection it keeps",
  },
  {
    suite: "deadlines",
    test: "a further head that stops is answered with 408",
    reason:
      "node:http does not say that a head began: one that came with the request before is idleness",
  },
  {
    suite: "RFC 9110",
    test: "are case-sensitive, and unknown ones are passed on",
    reason: "node:http knows the methods of a list only",
  },
  {
    suite: "heads that come byte by byte",
    test: "are refused with 414 target_too_long: one whose target does not end",
    reason: "node:http shows a target when its head is whole",
  },
  {
    suite: "heads that come byte by byte",
    test: "are refused with 400 bad_line_end: one with a line that ends with LF alone, before its end",
    reason: "node:http calls a bare LF behind the version a bad version",
  },
  {
    suite: "heads that come byte by byte",
    test: "are not begun by a blank line: what follows is silence between requests, not a late head",
    reason: "node:http does not say that what it read were blank lines: they are answered with 408",
  },
  {
    suite: "heads that come byte by byte",
    test: "cannot be held open for ever by blank lines",
    reason: "node:http does not say that what it read were blank lines: they are answered with 408",
  },
];

/**
 * Suites of what the reference engine does not have, each with its reason: decision record 0023. Its handler
 * is told so by an error when it asks for it.
 */
export const lacking: ReadonlyMap<string, string> = new Map([
  ["taps", "it pipes bodies through http-proxy-3"],
  ["other answers than the origin's", "http-proxy-3 is writing the origin's when a phase sees it"],
]);

/** What `node:http` takes though the contract refuses it, by the names of the tables. */
export const lenient: ReadonlyMap<string, string> = new Map([
  ["a chunk size of 400 digits", "node:http takes any number of leading zeros"],
]);
