/**
 * A long-running command ends with the processes that started it for the user: `tools/sluice.mjs`, and npm with
 * its shell. npm passes a signal on to the shell in which the command runs. The shell dies of it and does not
 * tell the command; and nobody can pass on a SIGKILL.
 */
import { readFileSync } from "node:fs";

/** In the environment of what `tools/sluice.mjs` starts: its process id. */
const launcherVariable = "SLUICE_STARTER";
const pollMs = 500;

/** The process id of `tools/sluice.mjs`, `NaN` without it. Its variable is no setting, so it is taken out. */
export function takeLauncher(env: NodeJS.ProcessEnv): number {
  const launcher = Number(env[launcherVariable] ?? Number.NaN);
  delete env[launcherVariable];
  return launcher;
}

/** Ends the process as SIGTERM does when a starter is gone. Does nothing where there is none. */
export function endWithStarter(launcher: number, env: NodeJS.ProcessEnv): void {
  const starters = startersOf(launcher, env.npm_command !== undefined);
  if (starters.length === 0) return;
  const timer = setInterval(() => {
    if (isThere(starters)) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, pollMs);
  timer.unref();
}

/** Processes that exist only to run this one, from its parent up. */
function startersOf(launcher: number, isUnderNpm: boolean): readonly number[] {
  const starters: number[] = [];
  let parent: number | null = process.ppid;
  if (parent === launcher) {
    starters.push(parent);
    parent = parentOf(parent);
  }
  if (!isUnderNpm || parent === null) return starters;
  if (isNpm(parent)) return [...starters, parent];
  const above = isShellOfOneCommand(parent) ? parentOf(parent) : null;
  return above !== null && isNpm(above) ? [...starters, parent, above] : starters;
}

/** An orphan gets another parent at once, even before anybody has noticed the death. */
function isThere(starters: readonly number[]): boolean {
  return starters.every(
    (starter, at) => (at === 0 ? process.ppid : parentOf(starters[at - 1] ?? 0)) === starter,
  );
}

/** `null` when it has ended, or where there is no /proc. */
function parentOf(pid: number): number | null {
  // The name of the program, in parentheses, may hold anything.
  const fields = read(pid, "stat")?.split(")").at(-1)?.trim().split(" ");
  return fields?.[1] === undefined ? null : Number(fields[1]);
}

/** npm sets its title: `npm exec sluice start`. */
function isNpm(pid: number): boolean {
  return /^np[mx]\b/.test(read(pid, "cmdline") ?? "");
}

function isShellOfOneCommand(pid: number): boolean {
  return (read(pid, "cmdline") ?? "").split("\0")[1] === "-c";
}

function read(pid: number, file: "stat" | "cmdline"): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return null;
  }
}
