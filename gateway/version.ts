/** Which Sluice this is: the version of the package, and the commit when it runs from a checkout. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as z from "zod";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Version {
  readonly version: string;
  /** `null` outside of a checkout. */
  readonly commit: string | null;
}

export function readVersion(): Version {
  const manifest = z.object({ version: z.string() });
  const { version } = manifest.parse(JSON.parse(readFileSync(`${root}package.json`, "utf8")));
  return { version, commit: commitOf(root) };
}

/** `0.1.0 (commit 0123456789ab)`, or the version alone. */
export function versionText(): string {
  const { version, commit } = readVersion();
  return commit === null ? version : `${version} (commit ${commit})`;
}

function commitOf(directory: string): string | null {
  // A package that is installed inside another project's checkout is not at that project's commit.
  if (!existsSync(`${directory}.git`)) return null;
  const args = ["-C", directory, "rev-parse", "--short=12", "HEAD"];
  const { status, stdout } = spawnSync("git", args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}
