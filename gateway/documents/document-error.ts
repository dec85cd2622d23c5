/** The one error for a value or a key in KV that cannot be used. */

export type DocumentErrorCode =
  /** The name in the key is not a valid host, upstream, module or setting. */
  | "bad_key"
  /** Larger than `maxDocumentBytes`. */
  | "too_large"
  /** Not JSON, or not UTF-8. */
  | "bad_json"
  /** JSON, but not what the schema asks for. */
  | "bad_document"
  /** It names something that belongs to another tenant. */
  | "foreign";

/** `message` is one line that starts with the key and says which field is wrong, and how. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
  readonly code: DocumentErrorCode;
  /** The key in KV, with its prefix. */
  readonly key: string;
  /** `message` without the key. */
  readonly problem: string;

  constructor(code: DocumentErrorCode, key: string, problem: string) {
    super(`${key}: ${problem}`);
    this.code = code;
    this.key = key;
    this.problem = problem;
  }
}
