/**
 * The keys of session tickets. All workers have the same, so any of them resumes a session that another one
 * began. Gateways that share the key for sealed certificates derive them from it, and resume each other's
 * clients.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import type { TicketKeyList } from "../../model/index.ts";
import type { Clock } from "../clock.ts";

const periodMs = 4 * 3_600_000;
/** One that seals, and two whose tickets are still opened. */
const kept = 3;
const keyBytes = 48;

export class TicketKeys {
  readonly #secret: Buffer | null;
  readonly #clock: Clock;
  readonly #onKeys: (keys: TicketKeyList) => void;
  #random: readonly string[] = [];
  #cancel: (() => void) | null = null;

  /** `secret`: what gateways share; `null`: nothing. */
  constructor(secret: Buffer | null, clock: Clock, onKeys: (keys: TicketKeyList) => void) {
    this.#secret = secret;
    this.#clock = clock;
    this.#onKeys = onKeys;
  }

  start(): void {
    const now = this.#clock.now();
    const period = Math.floor(now / periodMs);
    this.#onKeys(this.#secret === null ? this.#drawn() : derived(this.#secret, period));
    this.#cancel = this.#clock.after((period + 1) * periodMs - now, () => this.start());
  }

  stop(): void {
    this.#cancel?.();
  }

  #drawn(): TicketKeyList {
    this.#random = [randomBytes(keyBytes).toString("base64"), ...this.#random].slice(0, kept);
    return this.#random;
  }
}

function derived(secret: Buffer, period: number): TicketKeyList {
  return Array.from({ length: kept }, (_, age) => {
    const purpose = `sluice session tickets ${period - age}`;
    return Buffer.from(hkdfSync("sha256", secret, "", purpose, keyBytes)).toString("base64");
  });
}
