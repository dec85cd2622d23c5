/** Runs the embedded agent as a process for tests: `--http HOST:PORT --data-dir DIR`, ended by SIGTERM. */
import { parseArgs } from "node:util";
import bunyan from "bunyan";
import { startAgent } from "../../consul/embedded/index.ts";

const { values } = parseArgs({
  options: { http: { type: "string" }, "data-dir": { type: "string" } },
});
const [host = "127.0.0.1", port = "0"] = (values.http ?? "").split(":");
const log = bunyan.createLogger({ name: "agent", level: "warn" });
const agent = await startAgent({ host, port: Number(port), dataDir: values["data-dir"], log });
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => agent.close());
