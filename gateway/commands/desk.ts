/**
 * What commands need that change scripts, modules and documents in Consul. They find settings as `sluice start`
 * does, so that a text is held to the same limits as in the gateways.
 */
import { readFile } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { resolveConsulAddress } from "../../consul/api/environment.ts";
import { ConsulClient, ConsulError, KvStore, readOwnDatacenter } from "../../consul/index.ts";
import { describeFileError } from "../file-errors.ts";
import { SiteNames } from "../model/index.ts";
import {
  Operations,
  Records,
  SourceRefused,
  type Subject,
  withSchedule,
} from "../releases/index.ts";
import { defaultSandboxLimits, Examiner } from "../sandbox/index.ts";
import { loadSettings } from "../settings.ts";
import { text } from "../settings-values.ts";
import { AdminClient } from "./admin-client.ts";
import { CommandError, readFlag } from "./command-error.ts";
import type { Output } from "./printable.ts";

const datacenterTimeoutMs = 3_000;

export type Flags = Readonly<Record<string, unknown>>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a subcommand prints, and where its warnings go when a program reads the rest. */
export interface DeskOutput extends Output {
  readonly complain: (line: string) => void;
}

/** What a subcommand works with. With `--json` its lines for people are left out. */
export interface Desk extends Output {
  /** Prints the result for a program, once for each command. Prints nothing without `--json`. */
  readonly answer: (value: object) => void;
  /** Prints a warning beside the result. */
  readonly warn: (message: string) => void;
  readonly operations: Operations;
  readonly records: Records;
  readonly client: AdminClient;
  readonly consul: ConsulClient;
  /** The names of services, as gateways here read them. */
  readonly sites: SiteNames;
  /** Of all keys in Consul. */
  readonly prefix: string;
  readonly flags: Flags;
  /** Who does it, for the history. */
  readonly by: string;
}

type Voices = Pick<Desk, "print" | "printText" | "answer" | "warn">;

/** Resolves to the exit status of `work`: 1 when a text is refused, which is printed. */
export async function atDesk(
  flags: Flags,
  env: Environment,
  output: DeskOutput,
  work: (desk: Desk) => Promise<number>,
): Promise<number> {
  const voices = voicesOf(output, flags.json === true);
  const settings = await settingsOf(flags, env);
  const { consul: named, prefix, script, tenants } = settings;
  const client = await AdminClient.create(settings, env);
  const address = resolveConsulAddress(named.url === null ? {} : { url: named.url }, env);
  const consul = new ConsulClient(address);
  const examiner = new Examiner({ ...defaultSandboxLimits, ...script }, { tenants });
  const sites = new SiteNames(await askOwnDatacenter(consul));
  const records = new Records({
    kv: new KvStore(consul),
    prefix,
    onUnreadable: voices.warn,
    sites: () => sites,
  });
  const examine = withSchedule((host, tables) => examiner.examine(host, tables));
  const operations = new Operations({ records, examine, tenants, now: Date.now });
  const by = flags.by === undefined ? whoami() : readFlag("--by", text(), flags.by);
  try {
    return await work({ operations, records, client, consul, sites, prefix, flags, by, ...voices });
  } catch (error) {
    if (!(error instanceof SourceRefused)) throw error;
    explain(error, voices);
    return 1;
  } finally {
    examiner.close();
    consul.close();
  }
}

/** @throws CommandError */
export async function readBytes(file: string): Promise<Uint8Array> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(`${file} cannot be read: ${describeFileError(error)}`);
  });
}

/** The host or the name, without the kind. */
export function nameOf(subject: Subject): string {
  return subject.slice(subject.indexOf("/") + 1);
}

export function testsPass(count: number): string {
  return count === 1 ? "1 test passes" : `${count} tests pass`;
}

/** As `sluice start` would have them here. */
function settingsOf(flags: Flags, env: Environment) {
  const { config, consul, prefix, scriptMemory, scriptTimeout, tenants } = flags;
  const { adminTokenFile, adminHosts } = flags;
  return loadSettings(
    { config, consul, prefix, scriptMemory, scriptTimeout, tenants, adminTokenFile, adminHosts },
    env,
  );
}

function voicesOf({ print, printText, complain }: DeskOutput, isJson: boolean): Voices {
  if (!isJson) {
    return { print, printText, answer: () => {}, warn: (message) => print(`warning: ${message}`) };
  }
  const silence = () => {};
  const answer = (value: object) => printText(JSON.stringify(value));
  return { print: silence, printText: silence, answer, warn: complain };
}

function explain({ message, fault }: SourceRefused, { print, answer }: Voices): void {
  answer({ refused: fault });
  print(`refused: ${message}`);
  if (fault.test === undefined) return;
  print(`  test      ${fault.test.name}`);
  print(`  expected  ${fault.test.expected}`);
  print(`  actual    ${fault.test.actual}`);
}

/** `null` when Consul does not answer: whatever needs it says so. */
async function askOwnDatacenter(consul: ConsulClient): Promise<string | null> {
  try {
    return await readOwnDatacenter(consul, AbortSignal.timeout(datacenterTimeoutMs));
  } catch (error) {
    if (error instanceof ConsulError) return null;
    throw error;
  }
}

function whoami(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container may run as a user that has no name.
    return `somebody@${hostname()}`;
  }
}
