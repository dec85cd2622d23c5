// Installs what the lock file names when `node_modules` has something else, and makes `node` of the npm scripts
// the project's own. Plain JavaScript for any Node from 20 on: it runs before Node 26 is there. No package's
// install script runs, and npm checks the hash of each package, Node's binary included. A package that is
// installed elsewhere has no lock file and was installed by npm: nothing is left to do for it.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { installedNode, nodeBinary, nodePackage } from "./node-binary.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lockFile = join(root, "package-lock.json");

function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

/** Whether all that is needed is there with the hash that the lock file has. */
function isInstalled() {
  const marker = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(marker)) return false;
  if (nodePackage !== undefined && installedNode(root) === null) return false;
  const installed = packagesOf(marker);
  return Object.entries(packagesOf(lockFile)).every(([path, { integrity, optional, dev }]) => {
    if (path === "") return true;
    const found = installed[path];
    // An installation for production has no packages for development.
    if (found === undefined) return optional === true || dev === true;
    return found.integrity === integrity;
  });
}

function npm(...args) {
  const result = spawnSync("npm", args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (result.error) throw new Error(`npm cannot be run: ${result.error.message}`);
  if (result.status !== 0) {
    throw new Error(`"npm ${args.join(" ")}" failed with ${result.status ?? result.signal}`);
  }
}

/**
 * npm puts `node_modules/.bin` before everything else on the PATH of its scripts. npm 10 removes this link
 * together with the packages of the other platforms, which all have a binary of this name.
 */
function linkNode(node) {
  if (node === process.execPath) return;
  const link = join(root, "node_modules", ".bin", "node");
  const target = relative(dirname(link), node);
  try {
    if (readlinkSync(link) === target) return;
  } catch (error) {
    if (error.code !== "ENOENT" && error.code !== "EINVAL") throw error;
  }
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(target, link);
}

/** Where compiled code is kept from run to run. */
export const compileCache = join(root, ".cache", "compile");

/** Fills the cache of compiled code, so that the first workers start as fast and as small as later ones. */
function warm(node) {
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCache };
  // Without a primary a worker has nothing to do and ends at once.
  spawnSync(node, [join(root, "gateway", "worker", "worker.ts")], { env, stdio: "inherit" });
}

/** Returns the path of the Node to run on. Throws an `Error` for the operator. */
export function setUp() {
  if (!existsSync(lockFile)) return nodeBinary(root);
  const isFresh = !isInstalled();
  if (isFresh) {
    console.error("sluice: installing dependencies (first run, or the lock file has others)");
    // --force: packages that ask for a newer Node than this one run on the one that is installed here.
    npm("ci", "--ignore-scripts", "--force", "--no-audit", "--no-fund", "--loglevel=error");
  }
  const node = nodeBinary(root);
  linkNode(node);
  if (isFresh) warm(node);
  return node;
}

if (realpathSync(process.argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  try {
    setUp();
  } catch (error) {
    console.error(`sluice: ${error.message}`);
    process.exitCode = 1;
  }
}
