/** What clients of the admin API must show to `sluice start`: a token, certificates, or both. */

import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { givenToken, keepToken, makeToken } from "../admin-token.ts";
import { describeFileError } from "../file-errors.ts";
import type { AdminAccess, AdminTls } from "../primary/index.ts";
import { type Settings, SettingsError } from "../settings.ts";
import type { AdminSettings } from "../settings-admin.ts";

/**
 * `problem`: why the token that the gateway has made is not kept in the data directory; `null`: it is, or need not be.
 * Throws a `SettingsError`.
 */
export async function adminAccess({ adminAccess: given, dataDir }: Settings): Promise<{
  readonly access: AdminAccess;
  readonly problem: string | null;
}> {
  const tls = await readTls(given);
  const token = await givenToken(given);
  const openMetrics = given.metrics === "open";
  const access = {
    tls,
    hosts: given.hosts,
    isGiven: token !== null,
    openMetrics,
    openWrites: given.isOpen,
  };
  if (token !== null || (tls !== null && tls.clientCa !== null))
    return { access: { ...access, token }, problem: null };
  const made = dataDir === null ? { token: makeToken(), problem: null } : await keepToken(dataDir);
  return { access: { ...access, token: made.token }, problem: made.problem };
}

async function readTls({ cert, key, clientCa }: AdminSettings): Promise<AdminTls | null> {
  if (cert === null && key === null && clientCa === null) return null;
  if (cert === null || key === null) {
    const missing = cert === null ? "--admin-cert" : "--admin-key";
    throw new SettingsError(`${missing}: is missing; a certificate and its key go together`);
  }
  const tls = {
    cert: await readPem("--admin-cert", cert),
    key: await readPem("--admin-key", key),
    clientCa: clientCa === null ? null : await readPem("--admin-client-ca", clientCa),
  };
  try {
    createSecureContext({ cert: tls.cert, key: tls.key });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`--admin-cert, --admin-key: they cannot be used: ${reason}`);
  }
  if (tls.clientCa !== null && !tls.clientCa.includes("-----BEGIN CERTIFICATE-----")) {
    throw new SettingsError(`--admin-client-ca: ${clientCa} holds no certificate`);
  }
  return tls;
}

export async function readPem(flag: string, path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new SettingsError(`${flag}: ${path} cannot be read: ${describeFileError(error)}`);
  });
}
