/**
 * Hears which script a worker could not get out of, or was in when it crashed. What a worker writes is
 * checked: scripts run in it.
 */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { z } from "zod";
import { type LastWords, lastWordsDescriptor } from "../model/index.ts";

const maxLength = 262_144;
const texts = z.array(z.string()).readonly().nullable();
const schema = z.object({
  host: z.string(),
  version: z.string(),
  out: z.object({
    reason: z.string().max(1_000),
    methods: texts,
    paths: texts,
    onError: z.enum(["deny", "skip"]),
  }),
});
const line = z.union([schema, z.object({ inside: schema.nullable() })]);
/** The signals by which V8 and the system end a process that cannot go on: an abort, a trap, no memory. */
const crashes: readonly unknown[] = [
  "SIGABRT",
  "SIGTRAP",
  "SIGILL",
  "SIGSEGV",
  "SIGBUS",
  "SIGKILL",
];

/** What is heard of one worker. */
export interface Hearing {
  /** The worker is about to be killed for this reason: the script that it is in is to blame. */
  blame(reason: string): void;
}

/**
 * Calls back for a worker that says which script it cannot get out of, and for one that crashes in a script or
 * is killed for it. Everything else that it reads goes to `onTrouble`.
 */
export function hearLastWords(
  child: ChildProcess,
  onWords: (words: LastWords) => void,
  onTrouble: (message: string) => void,
): Hearing {
  let inside: LastWords | null = null;
  let blamed: string | null = null;
  const hearing = {
    blame: (reason: string) => {
      blamed = reason;
    },
  };
  const pipe = child.stdio[lastWordsDescriptor];
  if (!(pipe instanceof Readable)) return hearing;
  // A worker that is killed may reset it.
  pipe.on("error", (error: Error) => onTrouble(error.message));
  createInterface({ input: pipe }).on("line", (text) => {
    const read = line.safeParse(text.length > maxLength ? null : parsed(text));
    if (!read.success) onTrouble("what it wrote last cannot be read");
    else if ("inside" in read.data) inside = read.data.inside;
    else {
      inside = null;
      onWords(read.data);
    }
  });
  // Not `exit`: what it wrote may arrive later than that.
  child.once("close", (_code: number | null, signal: NodeJS.Signals | null) => {
    if (inside === null) return;
    // One that was killed by us did not crash.
    if (blamed === null && (child.killed || !crashes.includes(signal))) return;
    const reason = blamed ?? `a worker was ended by ${signal} while it was in it`;
    onWords({ ...inside, out: { ...inside.out, reason } });
  });
  return hearing;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
