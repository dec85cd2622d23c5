/** An origin that speaks HTTP/2 in clear by `node:http2`, as most origins do by some library. */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { Peer, Target } from "../../../gateway/engine/engine.ts";

export type Http2Script = (
  stream: ServerHttp2Stream,
  fields: IncomingHttpHeaders,
  flags: number,
) => void | Promise<void>;

export class Http2Origin {
  readonly target: Target;
  readonly sessions: readonly ServerHttp2Session[];
  readonly #close: () => Promise<void>;

  constructor(port: number, sessions: readonly ServerHttp2Session[], close: () => Promise<void>) {
    this.target = new Target(new Peer("127.0.0.1", port), { protocol: "h2c" });
    this.sessions = sessions;
    this.#close = close;
  }

  close(): Promise<void> {
    return this.#close();
  }
}

export async function startHttp2Origin(
  script: Http2Script,
  options: ServerOptions = {},
): Promise<Http2Origin> {
  const server = createServer(options);
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream: ServerHttp2Stream, fields, flags) => {
    // Tests reset streams on purpose.
    stream.on("error", () => {});
    Promise.resolve(script(stream, fields, flags)).catch((error) => {
      if (!stream.destroyed) throw error;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return new Http2Origin(port, sessions, async () => {
    for (const session of sessions) session.destroy();
    server.close();
    await once(server, "close");
  });
}

/** What was sent on a stream. */
export async function bodyOf(stream: ServerHttp2Stream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
