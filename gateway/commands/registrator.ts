/** `sluice registrator`: Docker -> Consul, as a process of its own. */
import { resolveConsulAddress } from "../../consul/api/environment.ts";
import { ConsulClient } from "../../consul/index.ts";
import {
  dockerAddress,
  parseRegistratorOptions,
  startRegistrator,
} from "../../consul/registrator/index.ts";
import { createLogger } from "../observability/logger.ts";
import { consulAddress, oneOf } from "../settings-values.ts";
import { readFlag, UsageError } from "./command-error.ts";
import { consulInRegistry } from "./registrator-arguments.ts";
import { runPart } from "./run-part.ts";

/** `registry`: the argument that gliderlabs/registrator takes, `consul://host:port`. */
export async function runRegistrator(
  registry: string | undefined,
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const options = parseRegistratorOptions(flags);
  if (registry !== undefined && flags.consul !== undefined)
    throw new UsageError(`--consul and ${registry} both name Consul; give one of them`);
  const named = registry === undefined ? flags.consul : consulInRegistry(registry);
  const url = named === undefined ? {} : { url: readFlag("--consul", consulAddress(), named) };
  const address = resolveConsulAddress(url, env);
  const docker = dockerAddress(typeof flags.docker === "string" ? flags.docker : undefined, env);
  const level = readFlag(
    "--log-level",
    oneOf("trace", "debug", "info", "warn", "error", "fatal"),
    flags.logLevel,
  );
  const log = createLogger({
    name: "sluice-registrator",
    level,
    secrets: [address.token ?? undefined, address.baseUrl.password],
  });
  const consul = new ConsulClient(address);
  const status = await runPart(
    () =>
      startRegistrator({
        docker: docker.connection,
        dockerName: docker.text,
        consul: consul.api,
        options,
        log,
      }),
    log,
  );
  consul.close();
  return status;
}
