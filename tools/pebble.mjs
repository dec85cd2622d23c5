// Finds pebble, the ACME authority for tests, and its DNS server, or builds both from their Go module where Go is on
// the machine, and prints the directory that has them. Plain JavaScript for any Node from 20 on. Everything lands under the
// project's `.cache/`. Ends with 3 where there is neither pebble nor Go.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const version = "v2.10.1";
const module = "github.com/letsencrypt/pebble/v2";
const programs = ["pebble", "pebble-challtestsrv"];
const cache = join(dirname(dirname(fileURLToPath(import.meta.url))), ".cache", "pebble");

/** For each step of the build; a module proxy that does not answer holds nobody up for longer. */
const longestMs = 90_000;

/** The directory with both programs, or `null`. `SLUICE_PEBBLE` names one. */
export function findPebble() {
  const candidates = [process.env.SLUICE_PEBBLE, cache].filter(Boolean);
  return candidates.find((one) => programs.every((name) => existsSync(join(one, name)))) ?? null;
}

function hasGo() {
  const path = (process.env.PATH ?? "").split(delimiter);
  return path.some((directory) => directory !== "" && existsSync(join(directory, "go")));
}

function build() {
  const source = join(cache, "source");
  mkdirSync(source, { recursive: true });
  writeFileSync(join(source, "go.mod"), `module pebble.invalid/build\n\ngo 1.22\n`);
  const go = (...args) => {
    const options = { cwd: source, encoding: "utf8", timeout: longestMs };
    const { status, stderr, error } = spawnSync("go", args, options);
    if (status === 0) return;
    const how = error === undefined ? `ended with ${status}` : error.message;
    throw new Error(`go ${args.join(" ")}: ${how}\n${stderr}`);
  };
  go("get", `${module}@${version}`);
  for (const name of programs)
    go("build", "-mod=mod", "-o", join(cache, name), `${module}/cmd/${name}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  if (findPebble() === null) {
    if (!hasGo()) {
      process.stderr.write("there is neither pebble nor Go; the tests use their own ACME server\n");
      process.exit(3);
    }
    build();
  }
  process.stdout.write(`${findPebble()}\n`);
}
