/** `sluice certificate ...`: brings certificates into KV, their keys sealed. */
import { resolveConsulAddress } from "../../consul/api/environment.ts";
import { ConsulClient, KvStore } from "../../consul/index.ts";
import { parseCertificate, parseEntryName } from "../documents/index.ts";
import { kinds, SiteNames } from "../model/index.ts";
import { inspectCertificate } from "../primary/index.ts";
import { givenSealingKey, seal } from "../sealing.ts";
import { loadSettings, SettingsError } from "../settings.ts";
import { CommandError, UsageError } from "./command-error.ts";
import { type Environment, type Flags, readBytes } from "./desk.ts";
import type { Output } from "./printable.ts";

/** Resolves to the exit status. Throws a `CommandError` for what no gateway would serve. */
export async function runCertificate(
  command: "seal" | "push",
  name: string,
  flags: Flags,
  env: Environment,
  { print, printText }: Output,
): Promise<number> {
  const { config, consul: url, prefix: keyPrefix, certificateKeyFile } = flags;
  const settings = await loadSettings(
    { config, consul: url, prefix: keyPrefix, certificateKeyFile },
    env,
  );
  const { prefix, consul: named, certificates } = settings;
  const key = `${prefix}${kinds.certificate.folder}${name}`;
  parseEntryName("certificate", key, name, new SiteNames(null));
  const sealingKey = await givenSealingKey(certificates.sealingKey);
  if (sealingKey === null && (command === "seal" || flags.clear !== true)) {
    throw new SettingsError(
      "--certificate-key-file: is missing, and without it the key cannot be sealed; push --clear writes it as it is",
    );
  }
  const chain = await readText(flags.chain, "--chain");
  const privateKey = await readText(flags.key, "--key");
  const outcome = inspectCertificate(
    { chain, key: privateKey, sealedKey: null, facts: null },
    name,
    null,
    Date.now(),
  );
  if ("problem" in outcome) throw new CommandError(`${name}: ${outcome.problem}`);
  const isClear = command === "push" && flags.clear === true;
  const document =
    isClear || sealingKey === null
      ? { chain, key: privateKey }
      : { chain, sealed_key: seal(sealingKey, name, privateKey) };
  const text = JSON.stringify(document, null, 2);
  parseCertificate(key, text);
  if (command === "seal") {
    printText(text);
    return 0;
  }
  const consul = new ConsulClient(
    resolveConsulAddress(named.url === null ? {} : { url: named.url }, env),
  );
  try {
    const kv = new KvStore(consul);
    await kv.put(key, text);
  } finally {
    consul.close();
  }
  const { names = [], notAfter = 0 } = outcome.certificate.facts ?? {};
  const until = new Date(notAfter).toISOString();
  if (flags.json === true)
    printText(JSON.stringify({ name, key, isSealed: !isClear, hosts: names, until }));
  else {
    const how = isClear ? "in clear" : "sealed";
    const [hosts, date] = [names.join(", "), until.slice(0, 10)];
    print(`${key} is written, its key ${how}: for ${hosts}, until ${date}`);
  }
  return 0;
}

async function readText(file: unknown, flag: string): Promise<string> {
  if (typeof file !== "string") throw new UsageError(`${flag}: is missing`);
  return Buffer.from(await readBytes(file)).toString("utf8");
}
