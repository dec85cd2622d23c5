/** The connections of an engine's clients: how many there may be, and how they end. */

import type { ClientSession } from "../downstream/session.ts";
import type { EngineLimits, ListenerOptions } from "../engine.ts";
import type { Refusal } from "../message/grammar.ts";

/** Admitted connections, of the engine or of one listener, and their limits; 0: no limit. */
class Admission {
  readonly #most: number;
  readonly #mostPerAddress: number;
  #count = 0;
  /** Counts by address; kept only when there is a limit for them. */
  readonly #addresses = new Map<string, number>();

  constructor(most: number, mostPerAddress: number) {
    this.#most = most;
    this.#mostPerAddress = mostPerAddress;
  }

  /** Why no further connection may be admitted; `null` when one may. `address`: `null` when it is not known. */
  refusal(address: string | null): Refusal | null {
    if (this.#most > 0 && this.#count >= this.#most)
      return busy("too_many_connections", "the gateway has all the connections it may have");
    const ofAddress = address === null ? 0 : (this.#addresses.get(address) ?? 0);
    if (this.#mostPerAddress > 0 && ofAddress >= this.#mostPerAddress)
      return busy("too_many_from_address", "too many connections from this address");
    return null;
  }

  count(address: string | null, step: 1 | -1): void {
    this.#count += step;
    if (this.#mostPerAddress === 0 || address === null) return;
    const count = (this.#addresses.get(address) ?? 0) + step;
    if (count === 0) this.#addresses.delete(address);
    else this.#addresses.set(address, count);
  }
}

export class Clients {
  readonly #sessions = new Set<ClientSession>();
  readonly #all: Admission;
  /** By listener number. */
  readonly #ofListener: readonly Admission[];

  constructor(limits: EngineLimits, listeners: readonly ListenerOptions[]) {
    this.#all = new Admission(limits.maxConnections, limits.maxConnectionsPerAddress);
    this.#ofListener = listeners.map(
      ({ maxConnections = 0, maxConnectionsPerAddress = 0 }) =>
        new Admission(maxConnections, maxConnectionsPerAddress),
    );
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Adds a connection, and refuses it with an answer when it is beyond the limits. */
  add(session: ClientSession): void {
    this.#sessions.add(session);
    this.#admit(session);
  }

  /** The connection is closed. */
  remove(session: ClientSession): void {
    if (this.#sessions.delete(session) && session.isAdmitted) this.#count(session, -1);
  }

  /** The connection goes on as another session, perhaps with another address, when a proxy opened it. */
  replace(before: ClientSession, session: ClientSession): void {
    this.remove(before);
    this.#sessions.add(session);
    if (before.isAdmitted) this.#admit(session);
  }

  onTick(now: number, isProbe: boolean): void {
    for (const session of this.#sessions) {
      session.onTick(now);
      if (isProbe) session.probe();
    }
  }

  /** Closes connections once their exchanges are over. */
  drain(graceEnd: number): void {
    for (const session of this.#sessions) session.onDrainStart(graceEnd);
  }

  destroyAll(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #admit(session: ClientSession): void {
    const address = addressOf(session);
    const refusal =
      this.#all.refusal(address) ?? this.#ofListener[session.listener]?.refusal(address) ?? null;
    if (refusal !== null) {
      session.refuse(refusal);
      return;
    }
    session.isAdmitted = true;
    this.#count(session, 1);
  }

  #count(session: ClientSession, step: 1 | -1): void {
    const address = addressOf(session);
    this.#all.count(address, step);
    this.#ofListener[session.listener]?.count(address, step);
  }
}

/** Under which limits count it; `null`: under none. */
function addressOf({ address, isForAnother }: ClientSession): string | null {
  return isForAnother === true ? null : address;
}

function busy(code: string, message: string): Refusal {
  return { status: 503, code, message };
}
