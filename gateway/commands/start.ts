/** `sluice start`: the gateway, with the real parts. */
import { resolveConsulAddress } from "../../consul/api/environment.ts";
import { acmeMaterials } from "../acme-materials.ts";
import { keptTokenFile, leaveToken, runtimeTokenFile, takeTokenAway } from "../admin-token.ts";
import { describeFileError } from "../file-errors.ts";
import { findMistake } from "../observability/access-log.ts";
import { createLogger, type Log } from "../observability/logger.ts";
import {
  Primary,
  runUntilSignal,
  StartError,
  systemClock,
  takeHeldSockets,
} from "../primary/index.ts";
import { givenSealingKey } from "../sealing.ts";
import { loadSettings, SettingsError } from "../settings.ts";
import { adminAccess } from "./admin-access.ts";
import { gatewayParts } from "./gateway-parts.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export async function runStart(
  flags: Readonly<Record<string, unknown>>,
  env: Environment,
): Promise<number> {
  const held = heldSockets();
  const settings = await loadSettings(flags, env);
  const { accessLog } = settings;
  const mistake = accessLog === null ? null : await findMistake(accessLog);
  if (mistake !== null) {
    const reason = describeFileError(mistake);
    throw new SettingsError(`--access-log: ${accessLog} cannot be written: ${reason}`);
  }
  const { access, problem } = await adminAccess(settings);
  const sealingKey = await givenSealingKey(settings.certificates.sealingKey);
  const acme = settings.acme === null ? null : await acmeMaterials(settings.acme, sealingKey);
  const { url, namespace, partition } = settings.consul;
  const address = resolveConsulAddress(
    {
      ...(url === null ? {} : { url }),
      ...(namespace === null ? {} : { namespace }),
      ...(partition === null ? {} : { partition }),
    },
    env,
  );
  const { password } = address.baseUrl;
  const log = createLogger({
    name: "sluice",
    level: settings.logLevel,
    secrets: [
      address.token ?? undefined,
      password,
      decodeURIComponent(password),
      access.token ?? undefined,
      acme?.externalAccount?.hmacKey,
    ],
  });
  if (problem !== null)
    log.error({}, `${problem}; the token that the gateway makes is good until it ends`);
  const parts = gatewayParts({ settings, address, log, clock: systemClock });
  const primary = new Primary({
    settings,
    parts,
    access,
    sealingKey,
    acme,
    clock: systemClock,
    log,
    held,
  });
  const { token, isGiven } = access;
  const { dataDir } = settings;
  const kept = dataDir === null || problem !== null ? null : keptTokenFile(dataDir);
  if (token === null || isGiven) return runUntilSignal(primary, log);

  let left: Promise<string | null> = Promise.resolve(null);
  const status = await runUntilSignal(primary, log, ({ admin }) => {
    left = leaveForCommands(runtimeTokenFile(admin.port, env), token, kept, log);
  });
  const path = await left;
  if (path !== null) await takeTokenAway(path, token);
  return status;
}

function heldSockets() {
  try {
    return takeHeldSockets(process.env, process.pid);
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Gives the file that holds the token while the gateway runs; `null`: it could not be written. `kept`: where it is beside
 * that, in the data directory.
 */
async function leaveForCommands(
  path: string,
  token: string,
  kept: string | null,
  log: Log,
): Promise<string | null> {
  try {
    await leaveToken(path, token);
    const file = kept ?? path;
    log.info({ file }, `writes to the admin API need the token in ${file}`);
    return path;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const instead =
      kept === null
        ? "nobody can write to the admin API; give a token with --admin-token-file"
        : `commands find it in ${kept} alone`;
    log.warn({ file: path, reason }, `the admin API's token cannot be left there: ${instead}`);
    return null;
  }
}
