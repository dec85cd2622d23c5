/** Starts the process of a worker: its flags, its environment, and the descriptors that it is given. */
import { type ChildProcess, fork } from "node:child_process";
import { descriptorsPerListener } from "../model/index.ts";
import type { BoundListener } from "./addresses.ts";

/**
 * For V8. There is a worker for each core, so threads that collect garbage would only take turns with it. What
 * a request leaves behind dies at once, so a small young generation will do: less memory, a fifth less
 * processor time for answers of 16 kB, and half of their p99 (docs/performance.md).
 */
export const collectorFlags: readonly string[] = [
  "--single-threaded-gc",
  "--max-semi-space-size=8",
];

/**
 * For the allocator of glibc; others do not know it. Without its lists of small free pieces ("fastbins"), it need not walk
 * through them whenever a large piece is freed, such as the 64 kB that Node allocates for each read (docs/performance.md).
 */
const allocatorTunable = "glibc.malloc.mxfast";

/** `GLIBC_TUNABLES` of a worker. `given`: the primary's own, which go before ours. */
export function workerTunables(given = ""): string {
  if (given.split(":").some((one) => one.startsWith(`${allocatorTunable}=`))) return given;
  const ours = `${allocatorTunable}=0`;
  return given === "" ? ours : `${given}:${ours}`;
}

/** The inspector's port is the primary's own, and no signal opens another one. */
const isNotInspector = (flag: string) => !flag.startsWith("--inspect");
const noInspector = "--disable-sigusr1";

/**
 * Its descriptors are the usual three, the channel, the pipe for its last words, and those of the sockets
 * that it accepts from (`messages.ts` has their numbers).
 */
export function forkWorker(entry: string, listeners: readonly BoundListener[]): ChildProcess {
  const listening = listeners.flatMap(({ socket }) =>
    new Array<number>(descriptorsPerListener).fill(socket.fd()),
  );
  // Scripts of operators run in workers, so neither Consul's token nor the key that opens sealed keys may be
  // there.
  const {
    CONSUL_HTTP_TOKEN: _token,
    CONSUL_HTTP_AUTH: _auth,
    SLUICE_CERTIFICATE_KEY: _key,
    ...env
  } = process.env;
  return fork(entry, [], {
    env: { ...env, GLIBC_TUNABLES: workerTunables(env.GLIBC_TUNABLES) },
    execArgv: [...process.execArgv.filter(isNotInspector), noInspector, ...collectorFlags],
    serialization: "json",
    stdio: ["inherit", "inherit", "inherit", "ipc", "pipe", ...listening],
  });
}
