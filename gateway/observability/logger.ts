/**
 * The gateway's own log: bunyan records as JSON lines. It keeps secrets out of the lines; its callers decide which
 * events are worth a line.
 */
import bunyan from "bunyan";
import { standardOutput } from "./standard-output.ts";

/** What a part needs from a logger; bunyan's loggers have this shape. */
export interface Log {
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
}

export interface LoggerOptions {
  /** The record's `name`, which tells which process wrote it. */
  readonly name: string;
  /** One of bunyan's level names. Default `info`. */
  readonly level?: string;
  /** Texts that must never show, such as Consul's token. They are replaced wherever they occur in a line. */
  readonly secrets?: readonly (string | undefined)[];
  /** Default: the process's standard output. */
  readonly write?: (line: string) => void;
}

const hidden = "[hidden]";
const secretName = /^(x-consul-token|authorization|proxy-authorization|cookie|set-cookie)$/i;

/**
 * Makes a logger that writes one JSON line for each record. It hides fields called `token` and `authorization` and
 * credentials in `headers`, reduces an `err` to what describes it, and shows none of `secrets`.
 */
export function createLogger(options: LoggerOptions): bunyan {
  const write = options.write ?? writeOut();
  // A very short text is no secret, and hiding it would blank out ordinary words.
  const secrets = (options.secrets ?? [])
    .filter((secret) => secret !== undefined && secret.length >= 4)
    .map((secret) => JSON.stringify(secret).slice(1, -1));
  const scrub = (line: string) =>
    secrets.reduce((clean, secret) => clean.replaceAll(secret, hidden), line);
  return bunyan.createLogger({
    name: options.name,
    streams: [
      {
        level: bunyan.resolveLevel(levelNamed(options.level ?? "info")),
        // A stream that is not `raw` gets the finished line.
        stream: { write: (line: object) => write(scrub(String(line))) },
      },
    ],
    serializers: {
      err: describeError,
      token: () => hidden,
      authorization: () => hidden,
      headers: hideCredentials,
    },
  });
}

/** How much may wait for a slow reader; records beyond this are dropped and counted. */
const maxBacklogBytes = 1024 * 1024;

let isSurviving = false;

/** The reader of the output may go before the process does; that must neither end the process nor hold it up. */
function writeOut(): (line: string) => void {
  const output = standardOutput();
  if (!isSurviving) {
    isSurviving = true;
    output.once("error", ({ message }) => {
      process.stderr.write(`sluice: the log cannot be written any more: ${message}\n`);
    });
    for (const stream of [output, process.stderr]) stream.on("error", () => {});
  }
  let dropped = 0;
  return (line) => {
    if (output.writableLength > maxBacklogBytes) {
      dropped += 1;
      return;
    }
    if (dropped > 0) {
      output.write(
        `{"msg":"${dropped} records were dropped, the reader of the log is too slow"}\n`,
      );
      dropped = 0;
    }
    output.write(line);
  };
}

const levels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

function levelNamed(name: string): (typeof levels)[number] {
  return levels.find((level) => level === name) ?? "info";
}

/** Returns an error's own description, without what a client attached to it (requests, headers). */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack } = error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  return { name, message, ...code, stack };
}

function hideCredentials(headers: unknown): unknown {
  if (typeof headers !== "object" || headers === null) return headers;
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, secretName.test(name) ? hidden : value]),
  );
}
