/**
 * The state on disk: `state.json` has everything up to some commit and is written whole and renamed into its place;
 * `journal.jsonl` has the commits since then. A commit is durable once its line is synced.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory } from "../../gateway/directories.ts";
import { ApiError } from "./api-error.ts";
import type { Commit, StoreImage } from "./store.ts";

/** Where commits go. */
export interface Journal {
  append(commit: Commit): void;
  /** Resolves when everything appended so far is durable; rejects when it cannot be made so. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

/** For an agent without a directory, which forgets everything when it ends. */
export const noJournal: Journal = {
  append: () => {},
  flushed: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** Thrown when the files cannot be read back; the message names the file. */
export class StateFileError extends Error {
  constructor(file: string, problem: string) {
    super(`${file}: ${problem}; restore it from a copy, or move it away to start empty`);
    this.name = "StateFileError";
  }
}

export interface SavedState {
  readonly image: StoreImage;
  readonly journal: readonly Commit[];
}

const format = 1;
/** The state is written anew when the journal is longer than this and longer than the state. */
const shortestFoldBytes = 1 << 20;

const stateName = "state.json";
const journalName = "journal.jsonl";

/** Reads what a directory holds; an empty or missing one is an empty state. Rejects with a `StateFileError`. */
export async function readSavedState(directory: string): Promise<SavedState> {
  await makeDirectory(directory);
  const image = await readState(join(directory, stateName));
  return {
    image: image ?? { index: 0, tables: {} },
    journal: await readJournal(join(directory, journalName)),
  };
}

async function readState(file: string): Promise<StoreImage | null> {
  const text = await readIfThere(file);
  if (text === null) return null;
  const [head = "", body = "", ...rest] = text.split("\n");
  if (head !== headOf(body) || rest.length !== 1) {
    throw new StateFileError(file, "the state is torn or was changed by hand");
  }
  return JSON.parse(body);
}

async function readJournal(file: string): Promise<Commit[]> {
  const lines = ((await readIfThere(file)) ?? "").split("\n");
  // The agent died while it wrote what follows the last line end, so no client was told that it is durable.
  lines.pop();
  return lines.map((line, at) => {
    const [sum = "", body = ""] = splitOnce(line, " ");
    if (sum !== checksum(body)) throw new StateFileError(file, `line ${at + 1} is corrupt`);
    return JSON.parse(body);
  });
}

export class JournalFile implements Journal {
  readonly #directory: string;
  readonly #file: FileHandle;
  readonly #image: () => StoreImage;
  #pending: string[] = [];
  #journalBytes = 0;
  #stateBytes = 0;
  /** A failed write may leave half a line at the end of the journal, so the next write must be a whole state. */
  #foldNext = true;
  #writing: Promise<void> | null = null;

  private constructor(directory: string, file: FileHandle, image: () => StoreImage) {
    this.#directory = directory;
    this.#file = file;
    this.#image = image;
  }

  /** `image` gives everything as of its call. Begins by folding the journal that was there. */
  static async open(directory: string, image: () => StoreImage): Promise<JournalFile> {
    const file = await open(join(directory, journalName), "a");
    const journal = new JournalFile(directory, file, image);
    try {
      await journal.flushed();
    } catch (error) {
      await file.close();
      throw error;
    }
    return journal;
  }

  append(commit: Commit): void {
    const body = JSON.stringify(commit);
    this.#pending.push(`${checksum(body)} ${body}\n`);
  }

  async flushed(): Promise<void> {
    // The next write takes all commits that came during this one.
    while (this.#writing !== null) await this.#writing;
    if (this.#pending.length === 0 && !this.#foldNext) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = null;
    });
    await this.#writing;
  }

  async close(): Promise<void> {
    try {
      await this.flushed();
    } finally {
      await this.#file.close();
    }
  }

  async #write(): Promise<void> {
    const lines = this.#pending.join("");
    this.#pending = [];
    try {
      const longest = Math.max(shortestFoldBytes, this.#stateBytes);
      if (this.#foldNext || this.#journalBytes > longest) return await this.#fold();
      this.#foldNext = true;
      await this.#file.appendFile(lines);
      await this.#file.datasync();
      this.#journalBytes += Buffer.byteLength(lines);
      this.#foldNext = false;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ApiError(500, `cannot write the state to ${this.#directory}: ${reason}`);
    }
  }

  async #fold(): Promise<void> {
    const body = JSON.stringify(this.#image());
    const fresh = join(this.#directory, `${stateName}.new`);
    const file = await open(fresh, "w");
    try {
      await file.writeFile(`${headOf(body)}\n${body}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, join(this.#directory, stateName));
    const directory = await open(this.#directory, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    await this.#file.truncate(0);
    this.#journalBytes = 0;
    this.#stateBytes = Buffer.byteLength(body);
    this.#foldNext = false;
  }
}

function headOf(body: string): string {
  return JSON.stringify({ format, sha256: createHash("sha256").update(body).digest("hex") });
}

function checksum(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
