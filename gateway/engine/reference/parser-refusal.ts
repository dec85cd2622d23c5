/** Translates an error from `node:http`'s parser into the contract's words. */
import { type Refusal, refuse } from "../message/grammar.ts";

/** `null` when the connection failed or ended in the middle of a head: then there is nobody to answer. */
export function parserRefusal(error: Error & { readonly code?: string }): Refusal | null {
  const code = error.code ?? "";
  if (!code.startsWith("HPE_") || code === "HPE_INVALID_EOF_STATE") return null;
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return { status: 431, code: "head_too_large", message: "the request head is too long" };
    case "HPE_INVALID_VERSION":
      return {
        status: 505,
        code: "bad_version",
        message: "only HTTP/1.0 and HTTP/1.1 are spoken here",
      };
    case "HPE_INVALID_METHOD":
    case "HPE_INVALID_URL":
    case "HPE_INVALID_CONSTANT":
      return refuse("bad_request_line", "the request line is malformed");
    case "HPE_INVALID_HEADER_TOKEN":
      return refuse("bad_header", "a header line is malformed");
    case "HPE_INVALID_CONTENT_LENGTH":
    case "HPE_UNEXPECTED_CONTENT_LENGTH":
      return refuse("bad_length", "Content-Length is malformed or not alone");
    case "HPE_INVALID_TRANSFER_ENCODING":
      return refuse("bad_coding", "the only transfer coding here is a single chunked");
    case "HPE_LF_EXPECTED":
    case "HPE_CR_EXPECTED":
      return refuse("bad_line_end", "a line does not end with CR LF");
    default:
      return refuse("bad_request", "this is not an HTTP/1.1 request");
  }
}
