/**
 * Listeners whose sockets workers are handed while they run: those that Consul has, and those for datagrams.
 * When one cannot be opened, a warning names its key, it is tried again, and the others are not affected.
 */
import type { ListenerDocument, ListenerTerms, Tables, ToWorker } from "../model/index.ts";
import { kinds } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { ListenerSettings } from "../settings-listeners.ts";
import { formatAddress, includesPort, type PortRange } from "../settings-values.ts";
import { cannotListen, overlap } from "./addresses.ts";
import type { Clock } from "./clock.ts";
import { type ListenerStatus, listenerStatus } from "./listener-status.ts";
import { type OpenDatagrams, type OpenSockets, openTcp, openUdp } from "./open-sockets.ts";
import type { Finding } from "./without-effect.ts";

/** What workers are sent. */
export type Handing = Extract<
  ToWorker,
  { readonly type: "openListener" | "listenerTerms" | "closeListener" }
>;
export type Opening = Extract<Handing, { readonly type: "openListener" }>;

export interface HandedListenersOptions {
  /** Those of the settings that workers inherit. */
  readonly inherited: readonly ListenerSettings[];
  /** Of the settings, for datagrams. */
  readonly datagrams: readonly OpenDatagrams[];
  /** Which ports Consul's may have. */
  readonly ports: readonly PortRange[];
  readonly workers: number;
  /** How long connections may go on after their listener is closed. */
  readonly drainTimeoutMs: number;
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  /** To every worker that serves, with its handle of the sockets if it is given any. */
  readonly send: (message: Handing, sockets: OpenSockets | null) => void;
  /** What is wrong with one of them has changed. */
  readonly onFindings: () => void;
  readonly clock: Pick<Clock, "after">;
  readonly log: Log;
}

interface Handed {
  readonly id: number;
  readonly name: string;
  terms: ListenerTerms;
  readonly host: string;
  /** What its sockets are bound to: `tcp 0.0.0.0:5432`. */
  readonly place: string;
  readonly sockets: OpenSockets;
}

/** How soon one that could not be opened is tried again. */
const retryMs = 2_000;
/** How soon, and how often, after others were closed: workers may need a moment to let go of their sockets. */
const soonMs = 100;
const soonTries = 10;
/** How many of Consul's may be open: each takes descriptors of the primary, and eight of every worker. */
const mostOpen = 128;

export class HandedListeners {
  readonly #options: HandedListenersOptions;
  /** By the name of the key or the setting. */
  readonly #fromConsul = new Map<string, Handed>();
  readonly #fromSettings: readonly Handed[];
  #problems = new Map<string, string>();
  #table: Tables["listener"] = new Map();
  #lastId: number;
  #cancelRetry: (() => void) | null = null;
  /** How many more tries follow soon. */
  #soon = 0;
  #isClosed = false;

  constructor(options: HandedListenersOptions) {
    this.#options = options;
    // The numbers before these are those of the listeners that workers inherit.
    this.#lastId = options.inherited.length - 1;
    this.#fromSettings = options.datagrams.map(({ sockets, flag: _flag, address, ...terms }) => ({
      id: this.#nextId(),
      name: terms.name,
      terms,
      host: address.host,
      place: placeOf({ protocol: terms.protocol, address }),
      sockets,
    }));
  }

  /** What Consul has now. Nothing is opened before the first call. */
  update(table: Tables["listener"]): void {
    if (this.#isClosed) return;
    this.#table = table;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    const before = this.#problems;
    this.#problems = new Map();
    const leaving = new Map<string, Handed>();
    for (const [name, handed] of this.#fromConsul) {
      const document = table.get(name);
      if (document !== undefined && placeOf(document) === handed.place && !this.#forbids(document))
        continue;
      this.#fromConsul.delete(name);
      leaving.set(handed.place, handed);
    }
    this.#passOn(leaving, table);
    for (const handed of leaving.values()) this.#close(handed);
    if (leaving.size > 0) this.#soon = soonTries;
    for (const [name, document] of table) this.#keep(name, document);
    if (!isSame(before, this.#problems)) this.#options.onFindings();
  }

  /**
   * A worker cannot accept on it: it is closed, and tried again later. False: this listener is not from Consul.
   */
  failed(id: number, reason: string): boolean {
    if (id < this.#options.inherited.length) return false;
    const handed = [...this.#fromConsul.values()].find((one) => one.id === id);
    // Several workers say the same.
    if (handed === undefined) return true;
    this.#fromConsul.delete(handed.name);
    this.#close(handed);
    this.#fail(handed.name, reason);
    this.#options.onFindings();
    return true;
  }

  /** All that are open, for a worker that has just started. */
  *forWorker(): Generator<readonly [message: Opening, sockets: OpenSockets]> {
    for (const { id, terms, sockets } of this.#all())
      yield [{ type: "openListener", listener: id, terms }, sockets];
  }

  find(id: number): readonly [message: Opening, sockets: OpenSockets] | null {
    for (const handed of this.#all())
      if (handed.id === id)
        return [{ type: "openListener", listener: id, terms: handed.terms }, handed.sockets];
    return null;
  }

  /** Those that are open. */
  list(): readonly ListenerStatus[] {
    const { datagrams } = this.#options;
    return [...this.#all()].map((handed) => {
      const { name, terms, host, sockets } = handed;
      const setting = datagrams.find((one) => one.sockets === sockets);
      const from = setting?.flag ?? this.#keyOf(name);
      return listenerStatus(terms, { host, port: sockets.port }, from);
    });
  }

  /** Those that are open, with the port of each. */
  terms(): readonly (ListenerTerms & { readonly port: number })[] {
    return Array.from(this.#all(), ({ terms, sockets }) => ({ ...terms, port: sockets.port }));
  }

  findings(): readonly Finding[] {
    return Array.from(this.#problems, ([name, warning]) => ({ key: this.#keyOf(name), warning }));
  }

  /** Closes every socket. Whoever stops the workers tells them. */
  close(): void {
    this.#isClosed = true;
    this.#cancelRetry?.();
    for (const { sockets } of this.#all()) sockets.close();
    this.#fromConsul.clear();
  }

  *#all(): Generator<Handed> {
    yield* this.#fromSettings;
    yield* this.#fromConsul.values();
  }

  /**
   * Gives the sockets that one key has no more to another key that wants the same place, and takes them from `leaving`.
   * Were they closed first, the place would be gone for a moment, and with it whoever waits to be accepted.
   */
  #passOn(leaving: Map<string, Handed>, table: Tables["listener"]): void {
    if (leaving.size === 0) return;
    for (const [name, document] of table) {
      const place = placeOf(document);
      const handed = leaving.get(place);
      if (handed === undefined || this.#fromConsul.has(name) || this.#forbids(document)) continue;
      leaving.delete(place);
      this.#fromConsul.set(name, { ...handed, name });
      const key = this.#keyOf(name);
      this.#options.log.info(
        { key },
        `${key}: took ${place} over from ${this.#keyOf(handed.name)}`,
      );
    }
  }

  #keep(name: string, { address, ...rest }: ListenerDocument): void {
    const { send, workers, log } = this.#options;
    const document = { address, ...rest };
    const forbidden = this.#forbids(document);
    if (forbidden !== null) {
      this.#problems.set(name, forbidden);
      return;
    }
    const terms: ListenerTerms = { ...rest, name, tls: null };
    const known = this.#fromConsul.get(name);
    if (known !== undefined) {
      if (JSON.stringify(known.terms) === JSON.stringify(terms)) return;
      known.terms = terms;
      send({ type: "listenerTerms", listener: known.id, terms }, null);
      return;
    }
    // Sockets that do not listen yet may share an address, and each would blame the other later.
    const other = [...this.#fromConsul.values()].find((one) => collide(one, document));
    if (other !== undefined) {
      this.#problems.set(name, `is not open: ${this.#keyOf(other.name)} has ${other.place}`);
      return;
    }
    if (this.#fromConsul.size >= mostOpen) {
      this.#problems.set(
        name,
        `is not open: ${mostOpen} other keys have listeners, and more are not opened`,
      );
      return;
    }
    try {
      const sockets = rest.protocol === "udp" ? openUdp(address, workers) : openTcp(address);
      const place = placeOf(document);
      const handed = { id: this.#nextId(), name, terms, host: address.host, place, sockets };
      this.#fromConsul.set(name, handed);
      send({ type: "openListener", listener: handed.id, terms }, sockets);
      log.info({ key: this.#keyOf(name) }, `${this.#keyOf(name)}: opened ${handed.place}`);
    } catch (error) {
      this.#fail(name, cannotListen(address, error as NodeJS.ErrnoException));
    }
  }

  /** Why the settings do not allow it; `null`: they do. */
  #forbids({ address, protocol }: ListenerDocument): string | null {
    const { ports, inherited, datagrams } = this.#options;
    const { port } = address;
    if (!includesPort(ports, port))
      return `port ${port} is not among those that --kv-listener-ports allows`;
    const others = protocol === "udp" ? datagrams : inherited;
    const other = others.find((one) => one.address.port === port);
    return other === undefined ? null : `port ${port} is that of ${other.flag}`;
  }

  #fail(name: string, reason: string): void {
    this.#problems.set(name, `is not open: ${reason}`);
    if (this.#cancelRetry !== null) return;
    const afterMs = this.#soon > 0 ? soonMs : retryMs;
    this.#soon = Math.max(0, this.#soon - 1);
    this.#cancelRetry = this.#options.clock.after(afterMs, () => this.update(this.#table));
  }

  #close({ id, name, place, sockets }: Handed): void {
    this.#options.send(
      { type: "closeListener", listener: id, deadlineMs: this.#options.drainTimeoutMs },
      null,
    );
    sockets.close();
    this.#options.log.info({ key: this.#keyOf(name) }, `${this.#keyOf(name)}: closed ${place}`);
  }

  #keyOf(name: string): string {
    return `${this.#options.prefix}${kinds.listener.folder}${name}`;
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

/** Whether both cannot be open, for what one has the other wants. */
function collide(open: Handed, { protocol, address }: ListenerDocument): boolean {
  const isSameKind = (open.terms.protocol === "udp") === (protocol === "udp");
  return isSameKind && open.sockets.port === address.port && overlap(open.host, address.host);
}

function placeOf({ protocol, address }: Pick<ListenerDocument, "protocol" | "address">): string {
  return `${protocol === "udp" ? "udp" : "tcp"} ${formatAddress(address)}`;
}

function isSame(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return (
    one.size === other.size && [...one].every(([name, problem]) => other.get(name) === problem)
  );
}
