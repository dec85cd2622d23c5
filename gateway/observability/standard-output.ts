/**
 * Standard output for processes that must not stand still for their reader. What a pipe does not take waits in
 * memory; the writer looks at `writableLength` and decides how much is too much.
 */
import { constants, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";

let opened: Writable | null = null;

/**
 * Whether a pipe blocks belongs to its open file, which all processes that inherit it share: each process that starts
 * or ends changes it for the others. So this opens a pipe once more, for this process alone.
 */
export function standardOutput(): Writable {
  opened ??= openOwn() ?? process.stdout;
  return opened;
}

/** Resolves when everything is written, when it cannot be written, or after `withinMs`. */
export function outputWritten(stream: Writable, withinMs: number | null): Promise<Error | null> {
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  const timer = withinMs === null ? null : setTimeout(() => resolve(null), withinMs);
  stream.write("", (error) => resolve(error ?? null));
  return promise.finally(() => clearTimeout(timer ?? undefined));
}

/**
 * Returns `null` when standard output is not a pipe, or cannot be opened again, which takes Linux and the right to do
 * so.
 */
function openOwn(): Writable | null {
  try {
    if (!fstatSync(1).isFIFO()) return null;
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    const fd = openSync("/proc/self/fd/1", flags);
    // Unwritten output keeps the process alive; an open output alone does not.
    return new Socket({ fd, readable: false, writable: true }).unref();
  } catch {
    return null;
  }
}
