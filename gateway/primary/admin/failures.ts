/** Errors as the admin API answers them: a status, a code in snake_case, one line, and the place if any. */
import {
  type Operations,
  SourceMissing,
  SourceRefused,
  type Subject,
  WriteConflict,
} from "../../releases/index.ts";

export interface Failure {
  readonly status: number;
  readonly error: string;
  readonly message: string;
  /** Of a conflict: what is there; `null`: nothing. */
  readonly current?: { readonly version: string; readonly source: string } | null;
}

/** What is there now, and why that is not what the writer expected. */
class ConflictWith extends Error {
  override readonly name = "WriteConflict";
  readonly current: NonNullable<Failure["current"]> | null;

  constructor(message: string, current: NonNullable<Failure["current"]> | null) {
    super(message);
    this.current = current;
  }
}

/** Runs `work`; adds what is there to a conflict. */
export async function withConflict<T>(
  operations: Operations,
  subject: Subject,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof WriteConflict)) throw error;
    const current = await operations.show(subject).catch((reason: unknown) => {
      if (reason instanceof SourceMissing) return null;
      throw reason;
    });
    const shown = current && { version: current.version, source: current.text };
    throw new ConflictWith(error.message, shown);
  }
}

export function failure(status: number, error: string, message: string): Failure {
  return { status, error, message };
}

/** By the names of the errors that other rooms throw for an operator to read. */
const known: Readonly<Record<string, readonly [status: number, error: string]>> = {
  SourceRefused: [422, "script_refused"],
  SourceMissing: [404, "not_found"],
  WriteConflict: [409, "conflict"],
  DocumentError: [400, "bad_request"],
  ExplainError: [400, "bad_request"],
  NoWorkerError: [503, "no_worker"],
  ConsulError: [502, "consul_failed"],
};

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return failure(500, "failed", String(error));
  const { name, message } = error;
  const [status, code] = known[name] ?? [];
  if (status !== undefined && code !== undefined) {
    if (error instanceof ConflictWith)
      return { ...failure(status, code, message), current: error.current };
    if (!(error instanceof SourceRefused)) return failure(status, code, message);
    const isDocument = /^(?:hosts|upstreams|peers)\//.test(error.fault.key);
    const what = isDocument ? "document_refused" : code;
    return { ...error.fault, ...failure(status, what, message) };
  }
  if ("code" in error && error.code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return failure(413, "too_large", "the body is larger than what Consul takes as a value");
  }
  const given = "statusCode" in error ? error.statusCode : undefined;
  const answered = typeof given === "number" && given >= 400 ? given : 500;
  return failure(answered, answered < 500 ? "bad_request" : "failed", message);
}
