/**
 * The access log: one record for each request, shaped like bunyan's records, as JSON lines. It builds the lines by
 * hand and writes them in batches. It does not rotate files; it opens its file again when it is told that the file
 * was moved.
 */
import { constants, createWriteStream, open } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Writable } from "node:stream";
import type { Exchange } from "../engine/engine.ts";
import { standardOutput } from "./standard-output.ts";

/**
 * A batch is written when the next record may not fit, or after `flushMs`. Writing 64 kB at a time would cost twice
 * the processor time, because each write goes to another thread and back.
 */
const batchBytes = 262_144;
const flushMs = 200;
/** When the disk or the reader is slower than the traffic, records beyond this backlog are dropped and counted. */
const maxBacklogBytes = 16 * 1024 * 1024;
/** bunyan's level `info`. */
const level = 30;

const needsEscape = /["\\\x80-\xff]/;
const beyondAscii = /[\x80-\xff]/g;
/** `.000` to `.999`, because `toFixed` takes longer than all other numbers in a record. */
const thousandths = Array.from({ length: 1_000 }, (_, at) => `.${String(at).padStart(3, "0")}`);

/**
 * Error codes that show a mistake in the setting. A full or broken disk is not one: the gateway serves, and reports
 * it when it writes.
 */
const mistakes: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "EISDIR", "EACCES", "EPERM"]);

/**
 * Resolves to the error when `target` can never be a log, because it is not a file or not writable for this user;
 * otherwise to `null`.
 */
export async function findMistake(target: string): Promise<Error | null> {
  if (target === "-") return null;
  // Does not wait for the reader of a named pipe.
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
  try {
    await (await openFile(target, flags)).close();
    return null;
  } catch (error) {
    const isMistake = error instanceof Error && "code" in error && mistakes.has(error.code);
    return isMistake ? error : null;
  }
}

export interface AccessLogOptions {
  /** `-` for standard output, otherwise a file to append to. */
  readonly target: string;
  /** Told once per flush how many records were dropped, and told about errors on the file. */
  readonly onTrouble: (message: string) => void;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
}

/** What is recorded about a stream; empty texts are left out. */
export interface NotedStream {
  readonly listener: string;
  readonly protocol: string;
  readonly clientAddress: string;
  readonly clientPort: number;
  /** The address of the sender that said whose connection it is. */
  readonly proxyAddress: string;
  /** The name that the client asked for. */
  readonly name: string;
  readonly upstream: string;
  readonly peer: string;
  readonly tries: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly failure: string;
  /** Further words about the failure. */
  readonly message: string;
}

export class AccessLog {
  #stream: Writable;
  /** `null` for standard output, which this log must not close. */
  readonly #file: string | null;
  readonly #onTrouble: (message: string) => void;
  readonly #now: () => number;
  readonly #tail: string;
  /** Records are written into a buffer: flattening a string that grew with every record would cost as much again. */
  #batch: Buffer = Buffer.allocUnsafe(batchBytes);
  #length = 0;
  /** Written batches for reuse, because allocating each batch kept the garbage collector busy. */
  readonly #free: Buffer[] = [];
  #timer: NodeJS.Timeout | null = null;
  #dropped = 0;
  #timeMs = 0;
  #head = "";

  constructor(options: AccessLogOptions) {
    this.#file = options.target === "-" ? null : options.target;
    this.#onTrouble = options.onTrouble;
    this.#now = options.now ?? Date.now;
    this.#stream = this.#file === null ? standardOutput() : this.#openFile(this.#file);
    const name = JSON.stringify({
      name: "sluice-access",
      hostname: hostname(),
      pid: process.pid,
      level,
    });
    this.#tail = `,${name.slice(1, -1)},"v":0}\n`;
  }

  /** Records a finished request. `upstream` is empty when none was found. */
  record(exchange: Exchange<unknown>, upstream: string): void {
    if (this.#stream.writableLength > maxBacklogBytes) {
      this.#dropped += 1;
      return;
    }
    const now = this.#now();
    if (now !== this.#timeMs) {
      this.#timeMs = now;
      this.#head = `{"time":"${new Date(now).toISOString()}","msg":"request","id":"`;
    }
    const { query, errorCode, peer, bytesIn, tries, proxyAddress } = exchange;
    const target = query === "" ? exchange.path : `${exchange.path}?${query}`;
    const userAgent = exchange.header("user-agent");
    const ms = milliseconds(exchange.durationMs);
    // Only text that clients choose freely is escaped: everything else has passed a grammar without quotes and
    // backslashes.
    let line = `${this.#head}${escaped(exchange.id)}","client":"${exchange.clientAddress}","method":"${exchange.method}","host":"${exchange.host}","target":"${escaped(target)}","status":${exchange.status},"ms":${ms},"bytesOut":${exchange.bytesOut}`;
    if (proxyAddress !== "") line += `,"proxy":"${proxyAddress}"`;
    if (bytesIn !== 0) line += `,"bytesIn":${bytesIn}`;
    if (upstream !== "") line += `,"upstream":"${upstream}"`;
    if (peer !== null) line += `,"peer":"${peer.key}"`;
    if (tries > 1) line += `,"tries":${tries}`;
    if (errorCode !== "") line += `,"error":"${errorCode}"`;
    if (userAgent !== undefined) line += `,"userAgent":"${escaped(userAgent)}"`;
    line += this.#tail;
    this.#write(line);
  }

  #write(line: string): void {
    if (this.#length + line.length > batchBytes) this.#flush();
    if (line.length > batchBytes) this.#stream.write(line);
    else this.#length += this.#batch.write(line, this.#length, "latin1");
    this.#timer ??= setTimeout(() => this.#flush(), flushMs);
  }

  /** Records a finished connection or session of datagrams. */
  recordStream(stream: NotedStream): void {
    if (this.#stream.writableLength > maxBacklogBytes) {
      this.#dropped += 1;
      return;
    }
    const { name, proxyAddress, upstream, peer, tries, failure, message } = stream;
    const fields = {
      time: new Date(this.#now()).toISOString(),
      msg: "connection",
      listener: stream.listener,
      protocol: stream.protocol,
      client: stream.clientAddress,
      clientPort: stream.clientPort,
      ...(proxyAddress === "" ? {} : { proxy: proxyAddress }),
      ...(name === "" ? {} : { host: name }),
      ms: Math.round(stream.durationMs * 1_000) / 1_000,
      bytesIn: stream.bytesIn,
      bytesOut: stream.bytesOut,
      ...(upstream === "" ? {} : { upstream }),
      ...(peer === "" ? {} : { peer }),
      ...(tries > 1 ? { tries } : {}),
      ...(failure === "" ? {} : { error: failure }),
      ...(message === "" ? {} : { reason: message }),
    };
    this.#write(`${JSON.stringify(fields).slice(0, -1)}${this.#tail}`);
  }

  /**
   * Opens the file again after somebody moved it away; later records go to the new one. If it cannot be opened, the
   * log keeps the old one.
   */
  reopen(): void {
    const file = this.#file;
    if (file === null) return;
    open(file, "a", (error, fd) => {
      if (error !== null) {
        this.#onTrouble(`access log: ${error.message}; the file that is open is written on`);
        return;
      }
      this.#flush();
      this.#stream.end();
      this.#stream = this.#openFile(file, fd);
    });
  }

  /** Writes the rest and closes the file. */
  close(): Promise<void> {
    this.#flush();
    return new Promise((resolve) => {
      if (this.#file === null) this.#stream.write("", () => resolve());
      else this.#stream.end(() => resolve());
    });
  }

  #openFile(file: string, fd?: number): Writable {
    const stream = createWriteStream(file, { flags: "a", ...(fd === undefined ? {} : { fd }) });
    return stream.on("error", (error) => this.#onTrouble(`access log: ${error.message}`));
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#length > 0) {
      const written = this.#batch;
      this.#stream.write(written.subarray(0, this.#length), () => {
        if (this.#free.length < 2) this.#free.push(written);
      });
      this.#batch = this.#free.pop() ?? Buffer.allocUnsafe(batchBytes);
      this.#length = 0;
    }
    if (this.#dropped > 0) {
      this.#onTrouble(`access log: ${this.#dropped} records dropped, its target is too slow`);
      this.#dropped = 0;
    }
  }
}

function milliseconds(duration: number): string {
  const micros = Math.round(duration * 1_000);
  return `${Math.floor(micros / 1_000)}${thousandths[micros % 1_000]}`;
}

/** Escapes a latin1 text for the inside of a JSON string in ASCII. */
function escaped(text: string): string {
  if (!needsEscape.test(text)) return text;
  const asAscii = (character: string) => `\\u00${character.charCodeAt(0).toString(16)}`;
  return JSON.stringify(text).slice(1, -1).replace(beyondAscii, asAscii);
}
