/** The connections of an engine's clients: how many there may be, and how they end. */

import type { ClientSession } from "../downstream/session.ts";
import type { EngineLimits } from "../engine.ts";
import type { Refusal } from "../message/grammar.ts";

/** While draining, a kept connection may bring one more request within this time. */
const drainGraceMs = 1_000;

export class Clients {
  readonly #limits: EngineLimits;
  readonly #sessions = new Set<ClientSession>();
  /** Those that were not turned away. */
  #admitted = 0;
  /** The same by address; kept only when there is a limit on them. */
  readonly #addresses = new Map<string, number>();

  constructor(limits: EngineLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A connection beyond the limits is refused, with an answer. */
  add(session: ClientSession): void {
    this.#sessions.add(session);
    const { maxConnections, maxConnectionsPerAddress } = this.#limits;
    if (maxConnections > 0 && this.#admitted >= maxConnections) {
      session.refuse(
        busy("too_many_connections", "the gateway has all the connections it may have"),
      );
      return;
    }
    if (maxConnectionsPerAddress > 0) {
      if ((this.#addresses.get(session.address) ?? 0) >= maxConnectionsPerAddress) {
        session.refuse(busy("too_many_from_address", "too many connections from this address"));
        return;
      }
      this.#count(session.address, 1);
    }
    session.isAdmitted = true;
    this.#admitted += 1;
  }

  /** The connection is closed. */
  remove(session: ClientSession): void {
    if (!this.#sessions.delete(session) || !session.isAdmitted) return;
    this.#admitted -= 1;
    if (this.#limits.maxConnectionsPerAddress > 0) this.#count(session.address, -1);
  }

  /** The connection goes on as another session, and counts as before. */
  replace(before: ClientSession, session: ClientSession): void {
    this.#sessions.delete(before);
    this.#sessions.add(session);
    session.isAdmitted = before.isAdmitted;
  }

  onTick(now: number, isProbe: boolean): void {
    for (const session of this.#sessions) {
      session.onTick(now);
      if (isProbe) session.probe();
    }
  }

  /** They close when their exchanges are over; `now` is the engine's clock. */
  drain(now: number, deadlineMs: number): void {
    const grace = Math.min(drainGraceMs, deadlineMs / 4);
    for (const session of this.#sessions) session.onDrainStart(now + grace);
  }

  destroyAll(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #count(address: string, step: 1 | -1): void {
    const count = (this.#addresses.get(address) ?? 0) + step;
    if (count === 0) this.#addresses.delete(address);
    else this.#addresses.set(address, count);
  }
}

function busy(code: string, message: string): Refusal {
  return { status: 503, code, message };
}
