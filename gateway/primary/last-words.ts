/** Hears which script a worker could not get out of. What a worker writes is checked: scripts run in it. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { z } from "zod";
import { type LastWords, lastWordsDescriptor } from "../state/index.ts";

/** For `stdio` of a worker: the usual four, and the pipe. */
export const workerStdio: readonly string[] = ["inherit", "inherit", "inherit", "ipc", "pipe"];

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

/** Calls back at most once for each line; what is none of ours is told to `onTrouble`. */
export function hearLastWords(
  child: ChildProcess,
  onWords: (words: LastWords) => void,
  onTrouble: (message: string) => void,
): void {
  const pipe = child.stdio[lastWordsDescriptor];
  if (!(pipe instanceof Readable)) return;
  // A worker that is killed may reset it.
  pipe.on("error", (error: Error) => onTrouble(error.message));
  createInterface({ input: pipe }).on("line", (line) => {
    const read = schema.safeParse(line.length > maxLength ? null : parsed(line));
    if (read.success) onWords(read.data);
    else onTrouble("what it wrote last cannot be read");
  });
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
