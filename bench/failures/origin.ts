/**
 * An origin as a process of its own that can be told to fail: over its IPC channel, or by a signal.
 *
 *     origin.ts NAME PORT [COUNT]    listens on COUNT ports from PORT on; 0: any
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** How it answers. */
export type Mode = "well" | "half-500" | "slow";

const [name = "origin", first = "0", count = "1"] = process.argv.slice(2);
const slowMs = 200;
let mode: Mode = "well";
let answered = 0;

process.on("message", (told: Mode) => {
  mode = told;
});
process.on("disconnect", () => process.exit(0));

const ports: number[] = [];
for (let at = 0; at < Number(count); at += 1) {
  const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
    answered += 1;
    response.setHeader("x-origin", name);
    if (mode === "half-500" && answered % 2 === 0) response.statusCode = 500;
    if (mode === "slow") setTimeout(() => response.end("fine\n"), slowMs);
    else response.end("fine\n");
  });
  const port = first === "0" ? 0 : Number(first) + at;
  await new Promise<void>((resolve) => server.listen(port, "0.0.0.0", resolve));
  ports.push((server.address() as AddressInfo).port);
}
process.send?.({ ports });
