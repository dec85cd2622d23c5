/** `sluice agent`: the embedded Consul-compatible agent as a process of its own. */
import { startAgent } from "../../consul/embedded/index.ts";
import { describeFileError } from "../file-errors.ts";
import { createLogger } from "../observability/logger.ts";
import { cannotListen } from "../primary/index.ts";
import { address, hosts, networks, oneOf, text } from "../settings-values.ts";
import { CommandError, readFlag } from "./command-error.ts";
import { runPart } from "./run-part.ts";

export async function runAgent(flags: Readonly<Record<string, unknown>>): Promise<number> {
  const { host, port } = readFlag("--http", address(), flags.http);
  const level = readFlag(
    "--log-level",
    oneOf("trace", "debug", "info", "warn", "error", "fatal"),
    flags.logLevel,
  );
  const datacenter = readFlag("--datacenter", text(), flags.datacenter);
  const dataDir: { readonly dataDir?: string } =
    flags.dataDir === undefined ? {} : { dataDir: readFlag("--data-dir", text(), flags.dataDir) };
  const names = { hosts: readFlag("--hosts", hosts(), flags.hosts ?? "") };
  const reach =
    flags.checkAddresses === undefined
      ? {}
      : { checkAddresses: readFlag("--check-addresses", networks(), flags.checkAddresses) };
  const log = createLogger({ name: "sluice-agent", level });
  const options = { host, port, datacenter, log, ...dataDir, ...names, ...reach };
  const start = () =>
    startAgent(options).catch((error: unknown) => {
      if (!(error instanceof Error && "syscall" in error)) throw error;
      const { dataDir: directory } = dataDir;
      // Errors of files have a path, those of addresses have none.
      if (!("path" in error) || directory === undefined)
        throw new CommandError(`--http ${cannotListen({ host, port }, error)}`);
      const reason = describeFileError(error);
      throw new CommandError(`--data-dir: ${directory} cannot be used: ${reason}`);
    });
  return runPart(start, log);
}
