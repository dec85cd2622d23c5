/**
 * Behaviours that HTTP/2 has no way to ask for, or that are HTTP/1.1's own, each with its reason. Whatever is not named
 * here is the same for clients of either protocol. What takes their place is tested in `http2/`.
 */

export interface NotOverHttp2 {
  /** The title of the suite, as given to `describeEngines`. */
  readonly suite: string;
  /** Titles of tests; `all`: of the whole suite. */
  readonly tests: "all" | readonly (string | RegExp)[];
  readonly reason: string;
}

const noConnectionOptions =
  "HTTP/2 has no Connection header, and a refusal does not close its connection";
const noSuchBytes = "nothing else than a head can be said in a HEADERS frame";

export const notOverHttp2: readonly NotOverHttp2[] = [
  { suite: "ambiguous requests", tests: "all", reason: noSuchBytes },
  { suite: "PROXY headers", tests: "all", reason: noSuchBytes },
  { suite: "mutated requests", tests: "all", reason: noSuchBytes },
  { suite: "heads that come byte by byte", tests: "all", reason: noSuchBytes },
  { suite: "refusals", tests: "all", reason: noConnectionOptions },
  { suite: "RFC 9112", tests: "all", reason: "it describes HTTP/1.1" },
  { suite: "pipelining", tests: "all", reason: "requests of one connection are served at once" },
  { suite: "upgrades", tests: "all", reason: "HTTP/2 has no upgrade (RFC 9113 section 8.6)" },
  {
    suite: "WebSocket",
    tests: "all",
    reason: "an extended CONNECT asks for it: the suite runs over both by itself",
  },
  {
    suite: "bodies of answers",
    tests: [/HTTP\/1\.0/],
    reason: "a client of HTTP/1.0 speaks no HTTP/2",
  },
  {
    suite: "headers of answers",
    tests: ["reach the client in their order, several Set-Cookie too"],
    reason: "names are in lower case; `http2/messages.test.ts` has the same test",
  },
  {
    suite: "backpressure",
    tests: [/reads no answers \((?:origin|handler)\)/],
    reason: "a client may have no more than 128 requests at once",
  },
  {
    suite: "backpressure",
    tests: [/ does not read \((?:length|chunked|close)\)$/],
    reason: "128 MB take too long in the test's own frames; `http2/sessions.test.ts` has both ways",
  },
  {
    suite: "capacity",
    tests: [
      /as many as it may have, and exceeded/,
      /`Connection: close`/,
      "serves none of those that were sent ahead beyond it",
    ],
    reason: noConnectionOptions,
  },
  {
    suite: "capacity",
    tests: [
      "answers one too many with 503, and admits again when others have left",
      "is not taken by clients that were turned away and stay",
      "reads nothing of what a client sends that is turned away",
      "answers one too many with 503, while other addresses are served",
    ],
    reason: "a connection is turned away before it could say which protocol it speaks",
  },
  {
    suite: "connections that end at the worst moment",
    tests: [/^are not given to a request when/],
    reason: "the client's own window updates come before, and the request is read with them",
  },
  {
    suite: "connections that end at the worst moment",
    tests: ["time out when the client sends ahead and does not take its answer"],
    reason: "a client may have no more than 128 requests at once",
  },
  {
    suite: "connections that end at the worst moment",
    tests: ["leave a client the time that the peer takes once it takes its answer again"],
    reason: "60 MB take too long in the test's own frames",
  },
  {
    suite: "deadlines",
    tests: [/head that stops/],
    reason: "a head is one block of frames; `http2/sessions.test.ts` has connections that stop",
  },
  { suite: "deadlines", tests: [/answered with 408$/], reason: noConnectionOptions },
  {
    suite: "deadlines",
    tests: [/answered with 504/],
    reason: "the test then sends a request without Host, which has no form in HTTP/2",
  },
  { suite: "deadlines", tests: [/upgraded connection/], reason: "HTTP/2 has no upgrade" },
  {
    suite: "drain",
    tests: [
      "lets running requests finish, and says that their connections close",
      "answers a request that is on its way when draining begins, or closes cleanly",
      "serves no request that was pipelined behind the running one",
    ],
    reason: "a draining connection says so by GOAWAY; see `http2/sessions.test.ts`",
  },
  {
    suite: "failures",
    tests: [
      "answer 502 when it closes in the middle of an upload",
      "end a request whose body stops coming",
    ],
    reason: noConnectionOptions,
  },
  {
    suite: "half-closed clients",
    tests: [
      /^get /,
      "are gone all the same when their body is not whole",
      "leave nothing behind when they go after all: their answer, or its deadline, finds out",
    ],
    reason: "a client of HTTP/2 that closes its side could not even acknowledge what it gets",
  },
  {
    suite: "hosts",
    tests: ["are forwarded as they were written"],
    reason: "one of them is a target in absolute form, which HTTP/2 has not",
  },
  {
    suite: "interim answers without end",
    tests: ["are not taken from an origin while the client does not read them"],
    reason:
      "they go on more slowly than the test waits; `http2/messages.test.ts` has a smaller one",
  },
  {
    suite: "keep-alive",
    tests: [
      "closes the client's connection after the answer when the client asked for it",
      "reads `close` among other connection options and in any case",
    ],
    reason: noConnectionOptions,
  },
  {
    suite: "limits",
    tests: [
      /^a (?:head|target|body|chunked body|Connection) that /,
      "are counted by what they refused",
    ],
    reason: noConnectionOptions,
  },
  {
    suite: "paths",
    tests: ["in absolute form are treated alike"],
    reason: "HTTP/2 has no target in absolute form",
  },
  {
    suite: "paths",
    tests: ["that cannot be decoded are refused, and so is NUL"],
    reason: noConnectionOptions,
  },
  {
    suite: "waiting for a peer",
    tests: ["ends with 503 and the connection closed when the body of the request had not ended"],
    reason: noConnectionOptions,
  },
  {
    suite: "waiting for a peer",
    tests: ["lasts as long as an upgraded connection holds the only one"],
    reason: "HTTP/2 has no upgrade",
  },
  {
    suite: "bodies of requests",
    tests: [
      "forwards a chunked body, and drops the extensions of its chunks",
      "reads requests cut at any single byte",
      "never passes on a trailer that would decide on framing, routing or rights",
      "passes on an answer that comes before the request's body ended",
    ],
    reason: "HTTP/2 has no chunks, refuses such trailers itself, and resets the stream alone",
  },
  {
    suite: "bodies of requests",
    tests: ["gives up the request to the origin when the client's body is cut"],
    reason: "one of its bodies is shorter in HTTP/2's frames than as HTTP/1.1's bytes",
  },
  {
    suite: "headers of requests",
    tests: [
      "reach the origin in their order, repeated ones too, as they were written",
      "lose the hop-by-hop fields",
      /Connection names/,
      "are given raw to the handler as they came, before any change",
      "are given to the handler as they stand, with its changes",
    ],
    reason: "names are in lower case, and the fields of a connection are refused",
  },
  {
    suite: "forwarding fields",
    tests: ["stand though Connection names them"],
    reason: "the fields of a connection are refused",
  },
  {
    suite: "odd names of request fields",
    tests: ["do not overrule what the handler sets, and the handler may set them itself"],
    reason: "the fields of a connection are refused",
  },
  {
    suite: "trailers of requests",
    tests: [/^never pass, allowed or not: (?:connection|te)$/],
    reason: "nghttp2 refuses them itself",
  },
  {
    suite: "RFC 9110",
    tests: [
      "of answers keep their order and their bytes, obs-text too",
      "removes what it names from interim answers too",
      "is not passed on in interim answers",
    ],
    reason: "names are in lower case; `http2/messages.test.ts` has the same tests",
  },
  {
    suite: "RFC 9110",
    tests: [
      /HTTP\/1\.0/,
      "are passed on both ways, in their order",
      "is in every answer of the gateway's own, refusals included",
      "removes what it names from the trailers as well, both ways",
      "is not passed on with the client's wish to close",
      "is sent on with the connection option, and so is the 101",
      "is not sent on when one of several protocols would hide requests from the gateway",
      "to a protocol that the client did not name is a bad answer",
      "is sent on with its connection option when it says trailers, alone or in a list",
      "is not sent on when it names transfer codings only",
      "says which methods are allowed",
    ],
    reason: "they are about connection options, upgrades, another version or CONNECT",
  },
  {
    suite: "RFC 9110",
    tests: ["is added to a request after what others wrote, with the version that was received"],
    reason: "the version is another; see `http2/messages.test.ts`",
  },
  {
    suite: "versions and targets",
    tests: [
      ...[
        "gets one answer and then the end of the connection",
        "keeps its connection when it asks for that",
      ],
      "gets a chunked answer without chunks, delimited by the end of the connection",
      ...["is never sent an interim answer", "can send a body with a length"],
      "may have no reason phrase, an unusual one or an unusual status",
      "are forwarded after blank lines before the request",
      /absolute form/,
      "of CONNECT are refused with 405 and the connection closed",
    ],
    reason: "HTTP/2 has one version, no reason phrase, no blank line and no absolute form",
  },
];
