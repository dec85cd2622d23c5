/**
 * A worker whose primary is gone. Where a supervisor holds the sockets it goes on serving until the next gateway does, and
 * looks for that; else it would keep others from the address.
 */
import { connect } from "node:net";

const pollMs = 200;
/** What it serves gets old, without watches, health checks and anybody who replaces it. */
const longestMs = 60_000;

export interface OrphanOptions {
  /** Where the next gateway says that it serves. */
  readonly succession: string;
  /** It is to finish what runs, and end; with the reason. */
  readonly onEnd: (why: string) => void;
}

export function serveUntilSucceeded({ succession, onEnd }: OrphanOptions): void {
  let isOver = false;
  const end = (why: string) => {
    if (isOver) return;
    isOver = true;
    clearInterval(polling);
    clearTimeout(late);
    onEnd(why);
  };
  const polling = setInterval(() => {
    const socket = connect(succession);
    socket.once("connect", () => end("another gateway serves"));
    // Nobody is there yet.
    socket.on("error", () => {});
    socket.once("close", () => socket.destroy());
  }, pollMs);
  const late = setTimeout(
    () => end(`no other gateway came within ${longestMs / 1_000} s`),
    longestMs,
  );
  // Nobody else passes it on any more.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => end(signal));
}
