/**
 * Keeps a second gateway of this machine away from a data directory: each would write its own state over the
 * other's. The lock is a name in Linux's abstract namespace, which vanishes with the process however that ends.
 * So it is never stale, needs no room on the disk and works on a full one. Where another machine or container
 * shares the directory, only its file tells (`snapshot-file.ts`).
 */
import { stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { StartError } from "./addresses.ts";

export class DirectoryLock {
  readonly #directory: string;
  #server: Server | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Throws a `StartError` when a gateway that runs has it. Where there is no directory there is nothing to share. */
  async take(): Promise<void> {
    const place = await stat(this.#directory, { bigint: true }).catch(() => null);
    if (place === null || process.platform !== "linux") return;
    const server = createServer((socket) => socket.destroy());
    server.unref();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("listening", resolve);
    server.once("error", reject);
    // A directory that is made after another one was removed may have its number, and the gateway of that one still run.
    server.listen(`\0sluice-data-dir-${place.dev}-${place.ino}-${place.birthtimeNs}`);
    try {
      await promise;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      throw new StartError(
        `--data-dir ${this.#directory}: another gateway that runs here uses it; give each one of its own`,
      );
    }
    server.removeAllListeners("error");
    server.on("error", () => {});
    this.#server = server;
  }

  release(): void {
    this.#server?.close();
    this.#server = null;
  }
}
