/**
 * The gateway's own log: bunyan records as JSON lines. Keeps secrets out of what is logged; decides
 * nothing about which events are worth a line.
 */
import bunyan from "bunyan";
import { standardOutput } from "./standard-output.ts";

/** What a part needs of a logger; bunyan's own loggers are of this shape. */
export interface Log {
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
}

export interface LoggerOptions {
  /** The record's `name`: which process speaks. */
  readonly name: string;
  /** A name of bunyan's levels. Default `info`. */
  readonly level?: string;
  /** Texts that never may show, such as Consul's token: replaced wherever a line has them. */
  readonly secrets?: readonly (string | undefined)[];
  /** Default: the process's standard output. */
  readonly write?: (line: string) => void;
}

const hidden = "[hidden]";
const secretName = /^(x-consul-token|authorization|proxy-authorization|cookie|set-cookie)$/i;

/**
 * A logger that writes one JSON line for each record. Fields called `token`, `authorization` and
 * `headers` with credentials are hidden, an `err` is cut down to what describes it, and no line
 * shows one of `secrets`.
 */
export function createLogger(options: LoggerOptions): bunyan {
  const write = options.write ?? writeOut();
  // A very short secret would blank out ordinary words, and is no secret.
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
        // A stream that is not `raw` is given the finished line.
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

/** What waits for a slow reader; records beyond this are dropped and counted. */
const maxBacklogBytes = 1024 * 1024;

let isSurviving = false;

/** Whoever reads the output may go before the process does, and must neither end it nor hold it up. */
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

/** An error's own description; what a client attached to it (requests, headers) stays out. */
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
