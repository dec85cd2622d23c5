/**
 * Where the three ways may disagree on what was asked, each with its reason. The names are those of the
 * engine's refusals, and of the errors of `node:http`'s parser. What is not here is a defect.
 */

/** The gateway refuses, with this code, what `node:http` takes. */
export const stricter: Readonly<Record<string, string>> = {
  400: "a HEAD that is refused for one of these reasons has no body that says which",
  417: "the same",
  501: "the same",
  505: "the same",
  bad_coding: "a coding that the gateway does not read would be lost; any is wrong in HTTP/1.0",
  bad_expectation: "an expectation that nobody meets is answered, not passed on (RFC 9110, 10.1.1)",
  bad_host: "a host that is no authority cannot be routed by",
  bad_line_end: "node:http skips any CR and LF before a request line",
  bad_request_line: "node:http takes several spaces between the parts of a request line",
  bad_path: "a path that cannot be decoded, or holds NUL, has no normal form to decide by",
  bad_target: "readers of a target disagree on a fragment and on what is no ASCII",
  bad_version: "node:http takes HTTP/0.9 and HTTP/2.0 in the request line",
  no_host: "node:http takes a request of HTTP/1.0 without Host; the gateway routes by it",
  two_codings: "node:http reads a first coding that is unknown, and goes by the second",
  two_hosts: "node:http takes several Host lines",
};

/** `node:http` refuses, with this code, what the gateway's own engine takes. */
export const looser: Readonly<Record<string, string>> = {
  HPE_INVALID_CONTENT_LENGTH:
    "node:http takes a trailer named Content-Length for framing; the gateway leaves it out",
  HPE_INVALID_TRANSFER_ENCODING:
    "node:http takes a trailer named Transfer-Encoding for framing; the gateway leaves it out",
  HPE_INVALID_METHOD:
    "node:http knows the methods of a list only; a method is any token (RFC 9110, 9.1)",
};
