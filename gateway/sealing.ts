/**
 * Private keys that only gateways can read: sealed with AES-256-GCM by a key that they share, and bound to the name of the
 * certificate, so that one cannot be put in the place of another.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describeFileError } from "./file-errors.ts";
import { SettingsError } from "./settings.ts";
import { type CertificateSettings, sealingKeyVariable } from "./settings-listeners.ts";

const form = "sluice-sealed-1:";
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;

/** 32 bytes, in base64 or hexadecimal. `null`: they are none. */
function readSealingKey(text: string): Buffer | null {
  const trimmed = text.trim();
  const isHex = /^[0-9a-fA-F]{64}$/.test(trimmed);
  if (!isHex && !/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return null;
  const key = Buffer.from(trimmed, isHex ? "hex" : "base64");
  return key.length === keyBytes ? key : null;
}

/** The key that the settings name; `null`: none. Throws a `SettingsError`, which repeats nothing of it. */
export async function givenSealingKey({
  file,
  text,
}: CertificateSettings["sealingKey"]): Promise<Buffer | null> {
  if (file !== null && text !== null)
    throw new SettingsError(`--certificate-key-file and ${sealingKeyVariable}: give one of them`);
  if (file === null && text === null) return null;
  const where = file === null ? sealingKeyVariable : `--certificate-key-file: ${file}`;
  const written =
    file === null
      ? (text ?? "")
      : await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
          throw new SettingsError(`${where} cannot be read: ${describeFileError(error)}`);
        });
  const key = readSealingKey(written);
  if (key === null)
    throw new SettingsError(`${where} has no key of 32 bytes in base64: openssl rand -base64 32`);
  return key;
}

export function seal(key: Buffer, name: string, text: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(name));
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return form + Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
}

/** `null`: it was sealed with another key, for another name, or is not whole. */
export function unseal(key: Buffer, name: string, sealed: string): string | null {
  if (!sealed.startsWith(form)) return null;
  const bytes = Buffer.from(sealed.slice(form.length), "base64");
  if (bytes.length < nonceBytes + tagBytes) return null;
  const nonce = bytes.subarray(0, nonceBytes);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(name));
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  try {
    const body = bytes.subarray(nonceBytes + tagBytes);
    return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
  } catch {
    return null;
  }
}
