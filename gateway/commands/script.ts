/** `sluice script ...`: what an operator does with rewrite scripts, by way of Consul. */
import { ConsulError } from "../../consul/index.ts";
import { registeredGateways } from "../registered-gateways.ts";
import {
  eraseTypes,
  type Pushed,
  SourceRefused,
  type Subject,
  sourceText,
} from "../releases/index.ts";
import { duration, text } from "../settings-values.ts";
import { readFlag, UsageError } from "./command-error.ts";
import {
  atDesk,
  type Desk,
  type DeskOutput,
  type Environment,
  type Flags,
  nameOf,
  readBytes,
  testsPass,
} from "./desk.ts";
import { everywhere, statusOf } from "./everywhere.ts";
import { historyLines, listLines, statusLines, whereLines } from "./script-print.ts";

type Subcommand = (desk: Desk, args: readonly string[]) => Promise<number>;

const subcommands: Readonly<Record<string, Subcommand>> = {
  push,
  test,
  list,
  show,
  history,
  rollback,
  remove,
  status,
};

/** Resolves to the exit status: 1 when a source is refused or a gateway has not got it. */
export async function runScript(
  name: string,
  args: readonly string[],
  flags: Flags,
  env: Environment,
  output: DeskOutput,
): Promise<number> {
  const subcommand = subcommands[name];
  if (subcommand === undefined) throw new UsageError(`script ${name} is not known`);
  return atDesk(flags, env, output, (desk) => subcommand(desk, args));
}

async function push(desk: Desk, [file = ""]: readonly string[]): Promise<number> {
  const subject = subjectOfFlags(desk);
  const source = await readSource(subject, file);
  const pushed = await desk.operations.push(subject, source, { by: desk.by });
  return announce(desk, subject, pushed);
}

async function test(desk: Desk, [file = ""]: readonly string[]): Promise<number> {
  const isNamed = desk.flags.host !== undefined || desk.flags.module !== undefined;
  const subject = isNamed
    ? subjectOfFlags(desk)
    : desk.operations.subjectOf("scripts", "test.example");
  const source = await readSource(subject, file);
  const { fault, passed } = await desk.operations.test(subject, source).catch((error: unknown) => {
    if (!(error instanceof ConsulError)) throw error;
    const why = error.code === "status" ? "refuses" : "does not answer";
    desk.warn(`without modules and settings, as Consul ${why}: ${error.message}`);
    return desk.operations.testAlone(subject, source);
  });
  if (fault !== null) throw new SourceRefused(fault);
  desk.print(passed === 0 ? "it loads; it has no tests" : `it loads; ${testsPass(passed)}`);
  desk.answer({ name: isNamed ? nameOf(subject) : null, tests: passed });
  return 0;
}

async function list(desk: Desk): Promise<number> {
  const kind = desk.flags.modules === true ? "modules" : "scripts";
  const listed = await desk.operations.list(kind);
  for (const line of listLines(listed)) desk.print(line);
  desk.answer({ [kind]: listed });
  return 0;
}

async function show(desk: Desk, args: readonly string[]): Promise<number> {
  const { operations, flags, printText, answer } = desk;
  const subject = subjectOfName(args, desk);
  const { text: source, version } =
    typeof flags.version === "string"
      ? await operations.version(subject, flags.version)
      : await operations.show(subject);
  printText(source.replace(/\n$/, ""));
  answer({ name: nameOf(subject), version, source });
  return 0;
}

async function history(desk: Desk, args: readonly string[]): Promise<number> {
  const subject = subjectOfName(args, desk);
  const versions = await desk.operations.history(subject);
  for (const line of historyLines(versions)) desk.print(line);
  desk.answer({ name: nameOf(subject), versions });
  return 0;
}

async function rollback(desk: Desk, args: readonly string[]): Promise<number> {
  const subject = subjectOfName(args, desk);
  const pushed = await desk.operations.rollback(subject, args[1] ?? null, desk.by);
  return announce(desk, subject, pushed);
}

async function remove(desk: Desk, args: readonly string[]): Promise<number> {
  const subject = subjectOfName(args, desk);
  await desk.operations.remove(subject, desk.by);
  desk.print(`${subject} is removed`);
  return waitFor(desk, subject, null, { name: nameOf(subject), removed: true });
}

async function status(desk: Desk): Promise<number> {
  const { records, client, prefix, print, answer, warn } = desk;
  const { gateways, faults } = await registeredGateways(records.kv, records.keys.gateways);
  for (const fault of faults) warn(fault);
  if (gateways.length === 0) print("no gateway is registered");
  let failures = 0;
  const shown: object[] = [];
  for (const gateway of gateways) {
    const { name, admin } = gateway;
    try {
      const status = await statusOf(client, gateway);
      for (const line of statusLines(gateway, status, prefix)) print(line);
      const { scripts, modules, refused } = status;
      shown.push({ name, admin, scripts, modules, refused });
    } catch (error) {
      failures += 1;
      const why = error instanceof Error ? error.message : String(error);
      print(`gateway ${name}: ${why}`);
      shown.push({ name, admin, error: why });
    }
  }
  answer({ gateways: shown });
  return failures === 0 ? 0 : 1;
}

function announce(desk: Desk, subject: Subject, pushed: Pushed): Promise<number> {
  const { version, isNew, tests } = pushed;
  const passed = tests === 0 ? "" : `, ${testsPass(tests)}`;
  const what = isNew ? "is written as" : "is already at";
  desk.print(`${subject} ${what} version ${version.slice(0, 12)}${passed}`);
  return waitFor(desk, subject, version, { name: nameOf(subject), version, isNew, tests });
}

/** `done`: the result so far. */
async function waitFor(
  desk: Desk,
  subject: Subject,
  version: string | null,
  done: object,
): Promise<number> {
  const { records, client, prefix, flags, print, answer, warn } = desk;
  const timeoutMs = readFlag("--timeout", duration(), flags.timeout ?? "15s");
  const { gateways, faults } = await registeredGateways(records.kv, records.keys.gateways);
  for (const fault of faults) warn(fault);
  const isWanted = async () => ((await records.source(subject))?.version ?? null) === version;
  const where = await everywhere(gateways, {
    client,
    prefix,
    subject,
    version,
    timeoutMs,
    isWanted,
  });
  for (const line of whereLines(where)) print(line);
  const shown = where.map(({ gateway: { name, admin }, isGood, says }) => ({
    name,
    admin,
    isGood,
    says,
  }));
  answer({ ...done, gateways: shown });
  return where.every(({ isGood }) => isGood) ? 0 : 1;
}

async function readSource(subject: Subject, file: string): Promise<string> {
  const source = sourceText(subject, await readBytes(file));
  return /\.[mc]?ts$/.test(file) ? eraseTypes(subject, source) : source;
}

/** `--host H` or `--module NAME`. */
function subjectOfFlags({ operations, flags: { host, module } }: Desk): Subject {
  if ((host === undefined) === (module === undefined)) {
    throw new UsageError("say what it is for: --host HOST, or --module NAME");
  }
  return host === undefined
    ? operations.subjectOf("modules", readFlag("--module", text(), module))
    : operations.subjectOf("scripts", readFlag("--host", text(), host));
}

function subjectOfName([name = ""]: readonly string[], { operations, flags }: Desk): Subject {
  return operations.subjectOf(flags.module === true ? "modules" : "scripts", name);
}
