/** Directories that are made where they are missing. */
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * As `mkdir` with `recursive`, which spins for ever in Node where a file system has no place for a directory and says that its
 * parent, which is there, is not (`/proc`). Rejects with the system's error.
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    const parent = dirname(path);
    if (code !== "ENOENT" || parent === path) throw error;
    await makeDirectory(parent, mode);
    await mkdir(path, { mode }).catch((again: NodeJS.ErrnoException) => {
      // Somebody else has made it in between.
      if (again.code !== "EEXIST") throw again;
    });
  }
}
