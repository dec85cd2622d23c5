/**
 * Certificates from files and directories, read again when they change. A pair with one half missing is passed
 * over, and what was read before stays, because whoever replaces two files does so one after the other.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { describeFileError } from "../../file-errors.ts";
import type { Certificate } from "../../model/index.ts";
import type { Clock } from "../clock.ts";

/** One certificate of the files, or why there is none under this name. */
export interface FileCertificate {
  /** As documents name it. */
  readonly name: string;
  /** Where it is, for messages. */
  readonly path: string;
  readonly certificate: Certificate;
}

export interface FileProblem {
  readonly path: string;
  readonly problem: string;
}

export interface FilesFound {
  readonly certificates: readonly FileCertificate[];
  readonly problems: readonly FileProblem[];
}

/** Where the two halves of a certificate are; `key` is the chain's own file when it has both. */
interface Place {
  readonly name: string;
  readonly chain: string;
  /** Tried in this order. */
  readonly keys: readonly string[];
  readonly isAuthorities: boolean;
}

const chainEndings: ReadonlySet<string> = new Set([".pem", ".crt", ".cer"]);
const maxFileBytes = 512 * 1024;
const maxCertificates = 10_000;
const pollMs = 1_000;
/** Looking at thousands of files takes time: no more than a twentieth of all. */
const mostPollMs = 30_000;
const pauseFactor = 19;

export class CertificateFiles {
  readonly #paths: readonly string[];
  readonly #clock: Pick<Clock, "after" | "ticks">;
  readonly #onFound: (found: FilesFound) => void;
  /** By the path of the chain: what its files were when they were read. */
  #known = new Map<string, { readonly stamp: string; readonly found: FileCertificate }>();
  #last = "";
  #cancel: (() => void) | null = null;
  #isStopped = false;

  /** `paths`: of files and directories. `onFound` is called when something differs from the last time. */
  constructor(
    paths: readonly string[],
    clock: Pick<Clock, "after" | "ticks">,
    onFound: (found: FilesFound) => void,
  ) {
    this.#paths = paths;
    this.#clock = clock;
    this.#onFound = onFound;
  }

  /** Resolves when they were read for the first time. */
  async start(): Promise<void> {
    if (this.#paths.length > 0) await this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  async #look(): Promise<void> {
    const began = this.#clock.ticks();
    const { stamp, found } = await this.#read();
    if (this.#isStopped) return;
    const took = this.#clock.ticks() - began;
    if (stamp !== this.#last) {
      this.#last = stamp;
      this.#onFound(found);
    }
    const pauseMs = Math.min(mostPollMs, Math.max(pollMs, pauseFactor * took));
    this.#cancel = this.#clock.after(pauseMs, () => void this.#look());
  }

  async #read(): Promise<{ readonly stamp: string; readonly found: FilesFound }> {
    const problems: FileProblem[] = [];
    const known = new Map<string, { readonly stamp: string; readonly found: FileCertificate }>();
    const places = new Map<string, Place>();
    for (const path of this.#paths) {
      for (const place of await placesIn(path, problems)) {
        const other = places.get(place.name);
        if (other === undefined) places.set(place.name, place);
        else problems.push({ path: place.chain, problem: `${other.chain} has the same name` });
      }
    }
    for (const place of places.values()) {
      const before = this.#known.get(place.chain);
      const outcome = await readPlace(place, before?.stamp ?? "");
      if (outcome === "same" && before !== undefined) known.set(place.chain, before);
      else if (typeof outcome === "object" && "found" in outcome) known.set(place.chain, outcome);
      else {
        // Half of it is there: the gateway goes on with the last whole one.
        if (before !== undefined) known.set(place.chain, before);
        if (typeof outcome === "object") problems.push(outcome);
      }
    }
    this.#known = known;
    const stamps = Array.from(known, ([path, { stamp }]) => `${path} ${stamp}`);
    const found = { certificates: Array.from(known.values(), (one) => one.found), problems };
    return { stamp: JSON.stringify([stamps, problems]), found };
  }
}

async function placesIn(path: string, problems: FileProblem[]): Promise<readonly Place[]> {
  try {
    const { isDirectory } = await look(path);
    if (!isDirectory) return [placeOf(path)];
    const places: Place[] = [];
    const entries = (await readdir(path)).sort();
    const names = new Set(entries);
    // Asking for a file that is not there takes longer than for all others.
    const isThere = (file: string) => names.has(basename(file));
    for (const entry of entries) {
      if (places.length >= maxCertificates) break;
      const inside = join(path, entry);
      if (chainEndings.has(extname(entry))) {
        const place = placeOf(inside);
        places.push({ ...place, keys: place.keys.filter(isThere) });
      }
      // A link that leads nowhere is probably being made at this moment.
      else if ((await look(inside).catch(() => null))?.isDirectory) places.push(folderOf(inside));
    }
    return places;
  } catch (error) {
    problems.push({ path, problem: `cannot be read: ${describeFileError(error)}` });
    return [];
  }
}

/** `NAME.crt` with `NAME.key`, or both in one file; `NAME.ca.crt` has authorities. */
function placeOf(chain: string): Place {
  const stem = chain.slice(0, chain.length - extname(chain).length);
  const isAuthorities = stem.endsWith(".ca");
  const name = basename(isAuthorities ? stem.slice(0, -3) : stem);
  return { name, chain, keys: [`${stem}.key`, chain], isAuthorities };
}

/** As ACME clients keep them. */
function folderOf(path: string): Place {
  const keys = [join(path, "privkey.pem")];
  return { name: basename(path), chain: join(path, "fullchain.pem"), keys, isAuthorities: false };
}

async function readPlace(
  place: Place,
  stamp: string,
): Promise<
  "same" | "half" | FileProblem | { readonly stamp: string; readonly found: FileCertificate }
> {
  const { name, chain, keys, isAuthorities } = place;
  try {
    const stamps = await Promise.all([...new Set([chain, ...keys])].map(stampOf));
    const now = stamps.join(" ");
    if (now === stamp) return "same";
    const chainText = await readBounded(chain);
    if (chainText === null) return "half";
    const certificate = { chain: chainText, key: null, sealedKey: null, facts: null };
    if (isAuthorities) return { stamp: now, found: { name, path: chain, certificate } };
    for (const path of keys) {
      const text = await readBounded(path);
      if (text === null || !/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) continue;
      return {
        stamp: now,
        found: { name, path: chain, certificate: { ...certificate, key: text } },
      };
    }
    return "half";
  } catch (error) {
    return { path: chain, problem: `cannot be read: ${describeFileError(error)}` };
  }
}

async function look(path: string): Promise<{ readonly isDirectory: boolean }> {
  return { isDirectory: (await stat(path)).isDirectory() };
}

/** Another text when the file was replaced or written to. */
async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch (error) {
    if (isMissing(error)) return "-";
    throw error;
  }
}

/** `null`: there is no such file. */
async function readBounded(path: string): Promise<string | null> {
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new Error(`is larger than ${maxFileBytes} bytes`);
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
