/** A tap that has a body compressed or decompressed by `node:zlib`, as a phase would. */
import { constants, type Gunzip, type Gzip } from "node:zlib";
import type { BodyTap, TapOutput } from "../../gateway/engine/engine.ts";

export class ZlibTap implements BodyTap {
  readonly #stream: Gzip | Gunzip;
  readonly #flushes: boolean;
  isAborted = false;

  /** `flushes`: what was written so far comes out at once, so that streaming answers keep flowing. */
  constructor(stream: Gzip | Gunzip, flushes = false) {
    this.#stream = stream;
    this.#flushes = flushes;
  }

  begin(out: TapOutput): void {
    const stream = this.#stream;
    stream.on("data", (piece: Buffer) => {
      if (!out.write(piece)) stream.pause();
    });
    stream.on("drain", () => out.resume());
    stream.on("end", () => out.end());
    stream.on("error", ({ message }) => out.fail(400, "bad_content", message));
  }

  write(piece: Buffer): boolean {
    const hasRoom = this.#stream.write(piece);
    if (this.#flushes) this.#stream.flush(constants.Z_SYNC_FLUSH);
    return hasRoom;
  }

  end(): void {
    this.#stream.end();
  }

  onDrain(): void {
    this.#stream.resume();
  }

  abort(): void {
    this.isAborted = true;
    this.#stream.destroy();
  }
}
