/**
 * A worker whose primary is gone. When a supervisor holds the sockets, the worker serves until the next gateway does,
 * and polls for that. Otherwise it ends, because it would keep others from the address.
 */
import { connect } from "node:net";

const pollMs = 200;
/** What the worker serves gets stale, because nobody watches Consul, checks health or replaces the worker. */
const longestMs = 60_000;

export interface OrphanOptions {
  /** Where the next gateway announces that it serves. */
  readonly succession: string;
  /** The worker has to finish what runs, and end; gets the reason. */
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
    // No other gateway is there yet.
    socket.on("error", () => {});
    socket.once("close", () => socket.destroy());
  }, pollMs);
  const late = setTimeout(
    () => end(`no other gateway came within ${longestMs / 1_000} s`),
    longestMs,
  );
  // No primary passes these signals on any more.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => end(signal));
}
