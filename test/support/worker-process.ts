/** A real worker process whose primary is the test. */
import { type ChildProcess, fork } from "node:child_process";
import { BoundSocket } from "node:net";
import { join } from "node:path";
import {
  defaultStreamTerms,
  descriptorsPerListener,
  noListenerLimits,
  type WorkerSettings,
} from "../../gateway/model/index.ts";

const entry = join(import.meta.dirname, "..", "..", "gateway", "worker", "worker.ts");

/** What a worker may be told to be, with nothing that a test looks at. */
export const plainWorkerSettings: WorkerSettings = {
  engine: "http1",
  limits: {},
  hasOthers: false,
  accessLog: null,
  trustedProxies: [],
  ownAddresses: [],
  listeners: [
    {
      name: "http",
      protocol: "http",
      exposes: "all",
      upstream: null,
      tls: null,
      proxyProtocol: [],
      limits: noListenerLimits,
      stream: defaultStreamTerms,
    },
  ],
  // Machines that run tests are busy: a good script must not fail for that.
  script: { memoryMb: 16, callTimeoutMs: 1_000, maxIsolates: 200 },
  watchTimeoutMs: 1_000,
  logLevel: "fatal",
  idPrefix: "t1",
  succession: null,
};

/** Not told anything yet; its standard error is the test's to read. */
export function forkWorker(): ChildProcess {
  using socket = new BoundSocket({ host: "127.0.0.1", port: 0 });
  const listening = Array.from({ length: descriptorsPerListener }, () => socket.fd());
  return fork(entry, {
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc", "ignore", ...listening],
  });
}
