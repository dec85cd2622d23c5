/** What orders of certificates need beside the settings: the contents of the files that these name. */
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { describeFileError } from "./file-errors.ts";
import { SettingsError } from "./settings.ts";
import { type AcmeSettings, eabKeyVariable } from "./settings-acme.ts";

export interface AcmeMaterials {
  readonly settings: AcmeSettings;
  /** PEM; `null`: the public authorities are believed. */
  readonly ca: string | null;
  readonly externalAccount: { readonly kid: string; readonly hmacKey: string } | null;
}

/** Throws a `SettingsError`, which repeats nothing of a key. */
export async function acmeMaterials(
  settings: AcmeSettings,
  sealingKey: Buffer | null,
): Promise<AcmeMaterials> {
  if (sealingKey === null && !settings.isClear)
    throw new SettingsError(
      "--acme-directory: needs --certificate-key-file, so that private keys are sealed in Consul KV; --acme-clear-keys on writes them in clear",
    );
  const { caFile, externalAccount } = settings;
  const ca = caFile === null ? null : await contents("--acme-ca-file", caFile);
  if (ca !== null && !holdsCertificates(ca))
    throw new SettingsError(`--acme-ca-file: ${caFile} has no certificates as PEM`);
  if (externalAccount === null) return { settings, ca, externalAccount: null };
  const { keyId: kid, key } = externalAccount;
  const text = key.file === null ? key.text : await contents("--acme-eab-key-file", key.file);
  const hmacKey = (text ?? "").trim();
  if (!/^[A-Za-z0-9_-]{16,1024}={0,2}$/.test(hmacKey)) {
    const where = key.file === null ? eabKeyVariable : `--acme-eab-key-file: ${key.file}`;
    throw new SettingsError(`${where} has no key in base64url`);
  }
  return { settings, ca, externalAccount: { kid, hmacKey } };
}

async function contents(flag: string, file: string): Promise<string> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new SettingsError(`${flag}: ${file} cannot be read: ${describeFileError(error)}`);
  });
}

function holdsCertificates(pem: string): boolean {
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) return false;
  try {
    createSecureContext({ ca: pem });
    return true;
  } catch {
    return false;
  }
}
