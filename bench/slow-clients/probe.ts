/**
 * A client that asks again and again over one connection, a few milliseconds apart, and on SIGUSR2
 * prints the longest time that an answer took. Prints `ready` after the first.
 *
 *     node probe.ts PORT
 */
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { host } from "../http/processes.ts";

const pauseMs = 5;
const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let worstMs = 0;
let askedAt = 0;

process.once("SIGUSR2", () => {
  // What is under way has taken at least so long.
  worstMs = Math.max(worstMs, performance.now() - askedAt);
  process.stdout.write(`worst ${worstMs.toFixed(1)}\n`);
});

await ask();
worstMs = 0;
process.stdout.write("ready\n");
for (;;) {
  worstMs = Math.max(worstMs, await ask());
  askedAt = Number.POSITIVE_INFINITY;
  await sleep(pauseMs);
}

/** Milliseconds from the request to the end of its answer. */
async function ask(): Promise<number> {
  askedAt = performance.now();
  const request = get({ host: "127.0.0.1", port, path: "/small", agent, headers: { host } });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  return performance.now() - askedAt;
}
