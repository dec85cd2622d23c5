/** `sluice start`: the gateway, with the real parts. */
import { resolveConsulAddress } from "../../consul/environment.ts";
import { createLogger } from "../observability/logger.ts";
import { Primary, runUntilSignal, systemClock } from "../primary/index.ts";
import { loadSettings } from "../settings.ts";
import { gatewayParts } from "./gateway-parts.ts";

export async function runStart(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const settings = await loadSettings(flags, env);
  const { url } = settings.consul;
  const address = resolveConsulAddress(url === null ? {} : { url }, env);
  const { password } = address.baseUrl;
  const log = createLogger({
    name: "sluice",
    level: settings.logLevel,
    secrets: [address.token ?? undefined, password, decodeURIComponent(password)],
  });
  const parts = gatewayParts({ settings, address, log, clock: systemClock });
  return runUntilSignal(new Primary({ settings, parts, clock: systemClock, log }), log);
}
