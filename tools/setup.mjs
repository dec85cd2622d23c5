// Installs what the lock file names when `node_modules` is missing or older than it. Plain JavaScript
// for any Node from 20 on: it runs before Node 26 is there. Install scripts of packages do not run,
// but for the one of `node`, which fetches the binary of this platform through npm.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function isInstalled() {
  const marker = join(root, "node_modules", ".package-lock.json");
  const node = join(root, "node_modules", "node", "bin", "node");
  if (!existsSync(marker) || !existsSync(node)) return false;
  return statSync(marker).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs;
}

function npm(...args) {
  const result = spawnSync("npm", args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`sluice: "npm ${args.join(" ")}" failed with status ${result.status}`);
    process.exit(result.status ?? 1);
  }
}

/** Fills the cache of compiled code, so that the first workers start as fast and as small as later ones. */
function warm() {
  const node = join(root, "node_modules", "node", "bin", "node");
  const env = { ...process.env, NODE_COMPILE_CACHE: join(root, ".cache", "compile") };
  // Without a primary a worker has nothing to do and ends at once.
  spawnSync(node, [join(root, "gateway", "worker", "worker.ts")], { env, stdio: "inherit" });
}

if (!isInstalled()) {
  console.error("sluice: installing dependencies (first run, or the lock file is newer)");
  // --force: packages that ask for a newer Node than this one run on the one that is installed here.
  npm("ci", "--ignore-scripts", "--force", "--no-audit", "--no-fund", "--loglevel=error");
  npm("rebuild", "node", "--foreground-scripts", "--loglevel=error");
  warm();
}
