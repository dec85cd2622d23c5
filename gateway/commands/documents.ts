/** `sluice host ...` and `sluice upstream ...`: what an operator does with documents, by way of Consul. */
import { type Pushed, SourceRefused, type Subject, sourceText } from "../releases/index.ts";
import { UsageError } from "./command-error.ts";
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
import { tellOfHost } from "./pushed-host.ts";
import { historyLines, listLines } from "./script-print.ts";

export type DocumentGroup = "host" | "upstream";

type Subcommand = (desk: Desk, subject: Subject, more: string | undefined) => Promise<void>;

const subcommands: Readonly<Record<string, Subcommand>> = {
  push,
  test,
  show,
  history,
  rollback,
  remove,
};

/** Resolves to the exit status: 1 when a document is refused. */
export async function runDocuments(
  group: DocumentGroup,
  name: string,
  [key = "", more]: readonly string[],
  flags: Flags,
  env: Environment,
  output: DeskOutput,
): Promise<number> {
  const kind = `${group}s` as const;
  return atDesk(flags, env, output, async (desk) => {
    if (name === "list") {
      const listed = await desk.operations.list(kind);
      for (const line of listLines(listed)) desk.print(line);
      desk.answer({ [kind]: listed });
      return 0;
    }
    const subcommand = subcommands[name];
    if (subcommand === undefined) throw new UsageError(`${group} ${name} is not known`);
    await subcommand(desk, desk.operations.subjectOf(kind, key), more);
    return 0;
  });
}

async function push(desk: Desk, subject: Subject, file = ""): Promise<void> {
  const text = sourceText(subject, await readBytes(file));
  announce(desk, subject, await desk.operations.push(subject, text, { by: desk.by }));
  if (subject.startsWith("hosts/")) await tellOfHost(desk, subject, text);
}

/** Of a file, or of what Consul has. */
async function test(desk: Desk, subject: Subject, file: string | undefined): Promise<void> {
  const { operations, print, answer } = desk;
  const text =
    file === undefined
      ? (await operations.show(subject)).text
      : sourceText(subject, await readBytes(file));
  const { fault, passed } = await operations.testAlone(subject, text);
  if (fault !== null) throw new SourceRefused(fault);
  print(passed === 0 ? "it can be read; it has no tests" : `it can be read; ${testsPass(passed)}`);
  answer({ name: nameOf(subject), tests: passed });
}

async function show(desk: Desk, subject: Subject): Promise<void> {
  const { operations, flags, printText, answer } = desk;
  const { text, version } =
    typeof flags.version === "string"
      ? await operations.version(subject, flags.version)
      : await operations.show(subject);
  printText(text.replace(/\n$/, ""));
  answer({ name: nameOf(subject), version, source: text });
}

async function history({ operations, print, answer }: Desk, subject: Subject): Promise<void> {
  const versions = await operations.history(subject);
  for (const line of historyLines(versions)) print(line);
  answer({ name: nameOf(subject), versions });
}

async function rollback(desk: Desk, subject: Subject, version: string | undefined): Promise<void> {
  announce(desk, subject, await desk.operations.rollback(subject, version ?? null, desk.by));
}

async function remove({ operations, by, print, answer }: Desk, subject: Subject): Promise<void> {
  await operations.remove(subject, by);
  print(`${subject} is removed`);
  answer({ name: nameOf(subject), removed: true });
}

function announce({ print, answer }: Desk, subject: Subject, pushed: Pushed): void {
  const { version, isNew, tests } = pushed;
  const passed = tests === 0 ? "" : `, ${testsPass(tests)}`;
  const what = isNew ? "is written as" : "is already at";
  print(`${subject} ${what} version ${version.slice(0, 12)}${passed}`);
  answer({ name: nameOf(subject), version, isNew, tests });
}
