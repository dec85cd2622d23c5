/** The command line as people have it: on a terminal, which `script` (bsdutils, on every Debian) makes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { cleanEnvironment } from "./gateway.ts";

const cli = join(import.meta.dirname, "..", "..", "gateway", "cli.ts");

/** What stands on the terminal when the command has ended, in lines that end as text's do. */
export async function onTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number | null; readonly shown: string }> {
  const command = [process.execPath, cli, ...args].map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...cleanEnvironment, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  const shown = await readText(child.stdout);
  await closed;
  return { status: child.exitCode, shown: shown.replaceAll("\r\n", "\n") };
}
