/**
 * The key that cookies name servers by (`sticky` of host documents), so that every gateway understands what another one
 * gave a client. The first gateway that needs it puts it into Consul KV.
 */
import { randomBytes } from "node:crypto";
import { needsStickyKey, type Served, stickyKeyName, type Tables } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { Kv } from "../releases/index.ts";
import type { Clock } from "./clock.ts";

export interface StickyKeyOptions {
  readonly kv: Pick<Kv, "get" | "put">;
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  readonly serve: (changes: readonly Served[]) => void;
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Log, "warn">;
}

const retryMs = 30_000;
const bytes = 32;

export class StickyKey {
  readonly #options: StickyKeyOptions;
  #isNeeded = false;
  #isStopped = false;
  #hasWarned = false;
  #cancel: (() => void) | null = null;

  constructor(options: StickyKeyOptions) {
    this.#options = options;
  }

  /** What is served from now on; a document among it may need the key. */
  changed(changes: readonly Served[]): void {
    if (this.#isNeeded) return;
    for (const change of changes) {
      if (change.kind !== "host" || change.value === null) continue;
      if (!needsStickyKey(change.value)) continue;
      this.#need();
      return;
    }
  }

  /** The same of all that is served already. */
  begin({ host }: Pick<Tables, "host">): void {
    if (!this.#isNeeded && [...host.values()].some(needsStickyKey)) this.#need();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  #need(): void {
    this.#isNeeded = true;
    void this.#find();
  }

  async #find(): Promise<void> {
    const { prefix, log, clock } = this.#options;
    const key = `${prefix}keys/${stickyKeyName}`;
    try {
      this.#serve(await this.#shared(key));
    } catch (error) {
      if (this.#isStopped) return;
      if (!this.#hasWarned) {
        // Until then the workers of this gateway agree with each other.
        this.#serve(newKey());
        log.warn(
          { key, reason: error instanceof Error ? error.message : String(error) },
          `${key} cannot be used: until it can, other gateways do not know the servers in this one's cookies`,
        );
      }
      this.#hasWarned = true;
      this.#cancel = clock.after(retryMs, () => void this.#find());
    }
  }

  /** Throws when Consul does not give it, and takes none. */
  async #shared(key: string): Promise<string> {
    const { kv } = this.#options;
    const known = await kv.get(key);
    if (known !== null) return checked(known.text);
    await kv.put(key, newKey(), { cas: 0 });
    // The key of the gateway that was first.
    const agreed = await kv.get(key);
    if (agreed === null) throw new Error("Consul has not kept it");
    return checked(agreed.text);
  }

  #serve(value: string): void {
    if (!this.#isStopped) this.#options.serve([{ kind: "key", key: stickyKeyName, value }]);
  }
}

/** Throws for anything that is no key: an empty one would make the names of servers in cookies guessable. */
function checked(text: string): string {
  if (/^[\x21-\x7e]{16,1024}$/.test(text)) return text;
  throw new Error("its value is not 16 to 1024 printable characters");
}

function newKey(): string {
  return randomBytes(bytes).toString("base64url");
}
