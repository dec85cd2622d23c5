/**
 * The last known good state on disk. Writes whole files only, and reads back only a file that it can prove to
 * be whole; it reports any other. A file of a later format belongs to a newer Sluice and is never touched: this
 * one then keeps its own beside it.
 *
 * The file: one line of JSON (format, checksum, length, version and time), then as JSON the changes, and what
 * the sources want to know again.
 */
import { createHash } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { makeDirectory } from "../directories.ts";
import { codeOf } from "../file-errors.ts";
import { kinds, type Served, type Snapshot, servedKinds } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { Clock } from "./clock.ts";

export interface SnapshotFileOptions {
  /** Made when it is not there. */
  readonly directory: string;
  /** What to write; asked when a write begins. */
  readonly source: () => Snapshot;
  /** What the sources want to know again beside it: JSON; `null`: nothing. */
  readonly memory: () => unknown;
  readonly clock: Pick<Clock, "now" | "ticks" | "after">;
  readonly log: Log;
  /** At most one write in this time, and in twenty times what the last one took. Default 1000. */
  readonly intervalMs?: number;
}

export interface LoadedSnapshot {
  readonly changes: readonly Served[];
  /** What the writer's sources gave; `null`: nothing. */
  readonly memory: unknown;
  /** The version that the writer counted; it does not compare with versions of this boot. */
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly writtenAt: number;
}

export interface SnapshotFileStatus {
  readonly path: string;
  /** ISO 8601; `null` before the first write of this process. */
  readonly writtenAt: string | null;
  readonly version: number | null;
  /** Why the last write failed or the file was not read, or who else writes it; `null` when all is well. */
  readonly error: string | null;
  /** When the state that this process started from was written; `null` when it did not start from one. */
  readonly loadedFrom: string | null;
  /** A file of a later format, which is left alone; `null`: there is none. */
  readonly leftAlone: string | null;
}

const fileName = "last-known-good.snapshot";
const currentFormat = 2;
/** Has the changes alone. */
const formatWithoutMemory = 1;
/** With a large state, many changes must not make it write all the time. */
const writeShare = 20;
/** The first line of any format is far shorter. */
const maxHeadBytes = 4_096;

const headSchema = z.object({
  format: z.number().int(),
  sha256: z.string(),
  bytes: z.number().int(),
  version: z.number().int(),
  writtenAt: z.number(),
});

const saved: ReadonlySet<unknown> = new Set(servedKinds.filter((kind) => kinds[kind].saved));

/**
 * The checksum proves that a Sluice of this format wrote the values, which it had validated; so only
 * the frame is looked at.
 */
const changesSchema = z.array(
  z.custom<Served>((entry: unknown) => {
    if (typeof entry !== "object" || entry === null) return false;
    if (!("kind" in entry && "key" in entry && "value" in entry)) return false;
    return saved.has(entry.kind) && typeof entry.key === "string" && entry.value !== null;
  }),
);

const bodySchema = z.object({ changes: changesSchema, memory: z.unknown() });

export class SnapshotFile {
  /** Where this Sluice writes. */
  path: string;
  readonly #directory: string;
  readonly #source: () => Snapshot;
  readonly #clock: SnapshotFileOptions["clock"];
  readonly #log: Log;
  readonly #memory: () => unknown;
  #intervalMs: number;
  readonly #leastIntervalMs: number;
  #cancel: (() => void) | null = null;
  #writing: Promise<void> = Promise.resolve();
  #lastWriteMs = Number.NEGATIVE_INFINITY;
  #written: { readonly version: number; readonly at: number } | null = null;
  #loadedAt: number | null = null;
  #error: string | null = null;
  #leftAlone: string | null = null;
  /** The first line of what this process wrote last, by which another's file shows. */
  #ownHead: string | null = null;

  constructor(options: SnapshotFileOptions) {
    this.path = join(options.directory, fileName);
    this.#directory = options.directory;
    this.#source = options.source;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#memory = options.memory;
    this.#leastIntervalMs = options.intervalMs ?? 1000;
    this.#intervalMs = this.#leastIntervalMs;
  }

  /** What the file holds; `null` when there is none or it is not whole. Never rejects. */
  async load(): Promise<LoadedSnapshot | null> {
    try {
      await this.#makeWay();
      const loaded = readSnapshot(await readFile(this.path));
      this.#loadedAt = loaded.writtenAt;
      return loaded;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      this.#error = `not read: ${messageOf(error)}`;
      this.#log.error(
        { file: this.path, reason: messageOf(error) },
        `the last known good state in ${this.path} is ignored: ${messageOf(error)}`,
      );
      return null;
    }
  }

  /** The state has changed: it is written soon, many changes by one write. */
  schedule(): void {
    if (this.#cancel !== null) return;
    const dueMs = this.#lastWriteMs + this.#intervalMs;
    const delayMs = Math.min(this.#intervalMs, Math.max(0, dueMs - this.#clock.ticks()));
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#cancel = null;
      void this.#write();
    });
  }

  /** Writes what is due and resolves when it is on disk, or was logged as failed. */
  async close(): Promise<void> {
    const isDue = this.#cancel !== null;
    this.#cancel?.();
    this.#cancel = null;
    await (isDue ? this.#write() : this.#writing);
  }

  status(): SnapshotFileStatus {
    return {
      path: this.path,
      writtenAt: this.#written === null ? null : new Date(this.#written.at).toISOString(),
      version: this.#written?.version ?? null,
      error: this.#error,
      loadedFrom: this.#loadedAt === null ? null : new Date(this.#loadedAt).toISOString(),
      leftAlone: this.#leftAlone,
    };
  }

  /**
   * When the file belongs to a newer Sluice, another one is used. A newer Sluice may have written it while this
   * one runs.
   */
  async #makeWay(): Promise<void> {
    if (this.#leftAlone !== null) return;
    const format = formatIn(await firstLine(this.path));
    if (format === null || format <= currentFormat) return;
    this.#leftAlone = this.path;
    this.#ownHead = null;
    this.path = join(this.#directory, `last-known-good.format-${currentFormat}.snapshot`);
    const what = `${this.#leftAlone} has format ${format}, and this version of Sluice reads ${currentFormat}`;
    this.#log.error(
      { file: this.path, leftAlone: this.#leftAlone },
      `${what}: it is left alone, and ${this.path} is used instead`,
    );
  }

  /** What to say of a file that is no longer what this process wrote; `null`: it is, or nothing was written yet. */
  async #findSharing(): Promise<string | null> {
    if (this.#ownHead === null) return null;
    const head = await firstLine(this.path);
    if (head === null || head === this.#ownHead) return null;
    return `another gateway writes ${this.path}, too: give each a --data-dir of its own`;
  }

  /** One write at a time, in order; a failure is kept for the status and logged. */
  #write(): Promise<void> {
    this.#lastWriteMs = this.#clock.ticks();
    this.#writing = this.#writing.then(async () => {
      const snapshot = this.#source();
      const memory = this.#memory();
      const at = this.#clock.now();
      try {
        await this.#makeWay();
        const shared = await this.#findSharing();
        const content = formatSnapshot(snapshot, memory, at);
        await writeDurably(this.#directory, this.path, content);
        const tookMs = this.#clock.ticks() - this.#lastWriteMs;
        this.#intervalMs = Math.max(this.#leastIntervalMs, writeShare * tookMs);
        this.#ownHead = firstLineIn(content);
        this.#written = { version: snapshot.version, at };
        if (shared !== null && this.#error !== shared) this.#log.warn({ file: this.path }, shared);
        this.#error = shared;
      } catch (error) {
        this.#error = `not written: ${messageOf(error)}`;
        this.#log.error(
          { file: this.path, err: error },
          `the last known good state cannot be written to ${this.path}`,
        );
      }
    });
    return this.#writing;
  }
}

/** `null`: there is no file that can be read. */
async function firstLine(path: string): Promise<string | null> {
  const file = await open(path, "r").catch(() => null);
  if (file === null) return null;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxHeadBytes), 0, maxHeadBytes, 0);
    return firstLineIn(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function firstLineIn(bytes: Buffer): string {
  const [line = ""] = bytes.toString("utf8", 0, maxHeadBytes).split("\n", 1);
  return line;
}

/** The format that a file says it has; `null`: it does not say. */
function formatIn(line: string | null): number | null {
  const head = z.object({ format: z.number().int() }).safeParse(parseJson(line ?? ""));
  return head.success ? head.data.format : null;
}

/** The bytes of a file that holds `snapshot`. */
function formatSnapshot(snapshot: Snapshot, memory: unknown, writtenAt: number): Buffer {
  const body = Buffer.from(JSON.stringify({ changes: snapshot.changes, memory }));
  const head = {
    format: currentFormat,
    sha256: sha256(body),
    bytes: body.length,
    version: snapshot.version,
    writtenAt,
  };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]);
}

/** Throws an `Error` that says in which way the file is not whole. */
function readSnapshot(file: Buffer): LoadedSnapshot {
  const end = file.indexOf("\n");
  const head = headSchema.safeParse(parseJson(file.subarray(0, Math.max(0, end)).toString()));
  if (!head.success) throw new Error("it does not begin as a snapshot does");
  const { format, bytes, version, writtenAt } = head.data;
  if (format !== currentFormat && format !== formatWithoutMemory) {
    throw new Error(`it has format ${format}, and this version of Sluice reads ${currentFormat}`);
  }
  const body = file.subarray(end + 1);
  if (body.length !== bytes) {
    throw new Error(`it is torn: ${body.length} bytes where ${bytes} were written`);
  }
  if (sha256(body) !== head.data.sha256) throw new Error("its checksum is wrong");
  const value = parseJson(body.toString());
  const read = bodySchema.safeParse(
    format === formatWithoutMemory ? { changes: value, memory: null } : value,
  );
  if (!read.success) throw new Error("it holds something that is not a change");
  const { changes, memory = null } = read.data;
  return { changes, memory, version, writtenAt };
}

/**
 * After this resolves, a crash of the machine leaves the whole old or the whole new file. The directory
 * is synced too, because the rename is an entry of it.
 */
async function writeDurably(directory: string, path: string, content: Buffer): Promise<void> {
  await makeDirectory(directory);
  const temporary = `${path}.${process.pid}.new`;
  try {
    // Settings may hold what other users must not read.
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const parent = await open(directory, "r");
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Text that is not JSON matches no schema; the caller names the fault.
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
