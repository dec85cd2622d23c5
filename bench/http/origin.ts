/**
 * The origin that all contenders forward to: nginx with fixed answers, since it costs the core that
 * it shares with the load generator the least.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/support/ports.ts";
import { nginxFrame } from "./contenders.ts";
import type { Processes } from "./processes.ts";

const small = `${"0123456789abcdef".repeat(8)}\n`;

/** Starts the origin on `core`; resolves to its port. */
export async function startOrigin(
  processes: Processes,
  core: number,
  directory: string,
): Promise<number> {
  const port = await freePort();
  const root = join(directory, "origin");
  await mkdir(join(root, "files"), { recursive: true, mode: 0o755 });
  await writeFile(join(root, "files", "16k"), Buffer.alloc(16_384, "x"), { mode: 0o644 });
  await writeFile(join(root, "files", "1m"), Buffer.alloc(1_048_576, "x"), { mode: 0o644 });
  const config = nginxFrame(
    root,
    `
    sendfile on;
    open_file_cache max=16;
    server {
      listen 127.0.0.1:${port} backlog=4096;
      default_type application/octet-stream;
      location = /small { return 200 "${small.replace("\n", "\\n")}"; }
      location / { root ${join(root, "files")}; }
    }`,
  );
  await writeFile(join(root, "nginx.conf"), config);
  const nginx = processes.start(core, ["nginx", "-p", root, "-c", join(root, "nginx.conf")]);
  await nginx.answers(`http://127.0.0.1:${port}/small`);
  return port;
}
