/**
 * Standard output for processes that must not stand still for their reader. What a pipe does not take waits in
 * memory; whoever writes looks at `writableLength` and decides what is too much.
 */
import { constants, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";

let opened: Writable | null = null;

/**
 * Whether a pipe blocks is a property of its open file, and all processes that inherit it share that: each
 * that starts or ends sets it for the others too. So a pipe is opened once more, for this process alone.
 */
export function standardOutput(): Writable {
  opened ??= openOwn() ?? process.stdout;
  return opened;
}

/** Resolves when all is written, cannot be written, or `withinMs` are over. */
export function outputWritten(stream: Writable, withinMs: number | null): Promise<Error | null> {
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  const timer = withinMs === null ? null : setTimeout(() => resolve(null), withinMs);
  stream.write("", (error) => resolve(error ?? null));
  return promise.finally(() => clearTimeout(timer ?? undefined));
}

/** `null` when it is no pipe, or cannot be opened anew: only Linux can, and only with the right to. */
function openOwn(): Writable | null {
  try {
    if (!fstatSync(1).isFIFO()) return null;
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    const fd = openSync("/proc/self/fd/1", flags);
    // What is still to be written keeps the process; that there is an output does not.
    return new Socket({ fd, readable: false, writable: true }).unref();
  } catch {
    return null;
  }
}
