/**
 * The registrator alone, as a process for tests that kill it: `--docker`, `--consul` and the registrator's
 * own flags. It prints log records as JSON lines, and ends on SIGTERM.
 */
import bunyan from "bunyan";
import { Command } from "commander";
import { createConsul } from "../../consul/api/client.ts";
import {
  dockerAddress,
  parseRegistratorOptions,
  registratorFlags,
  startRegistrator,
} from "../../consul/registrator/index.ts";

const command = new Command()
  .requiredOption("--docker <address>")
  .requiredOption("--consul <url>")
  .option("--compare-ms <milliseconds>", "", "5000");
for (const { flags, description, default: fallback } of registratorFlags)
  command.option(flags, description, fallback);
const values = command.parse().opts<Record<string, unknown>>();

const docker = dockerAddress(String(values.docker), {});
const log = bunyan.createLogger({ name: "registrator", level: "debug" });
try {
  const registrator = await startRegistrator({
    docker: docker.connection,
    dockerName: docker.text,
    consul: createConsul({ url: String(values.consul) }, {}).api,
    options: parseRegistratorOptions(values),
    log,
    compareMs: Number(values.compareMs),
  });
  process.once("SIGTERM", () => {
    void registrator.close().then(() => process.exit(0));
  });
  log.info("ready");
} catch (error) {
  log.fatal(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
