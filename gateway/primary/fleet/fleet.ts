/**
 * All gateways at one Consul: which of them live, what each has applied, and who is behind what Consul has. Reads KV and
 * the catalog when it is asked; decides nothing.
 */
import type { ServiceEntry } from "../../../consul/index.ts";
import { DocumentError, parseEntryName } from "../../documents/index.ts";
import { versionOf } from "../../model/index.ts";
import {
  type Applied,
  digestOf,
  type RegisteredGateway,
  registeredGateways,
  shortVersion,
  type Versions,
} from "../../registered-gateways.ts";
import {
  entryKinds,
  type Records,
  type Subject,
  type SubjectKind,
  subjectKinds,
} from "../../releases/index.ts";
import { formatAddress } from "../../settings-values.ts";

export interface FleetOptions {
  /** The gateway that answers. */
  readonly name: string;
  readonly service: string | null;
  readonly records: Records;
  readonly registered: (service: string) => Promise<readonly ServiceEntry[]>;
  /** Milliseconds on a clock that never goes back. */
  readonly ticks: () => number;
}

export interface FleetAnswer {
  /** What gateways register themselves as; `null`: this one does not. */
  readonly service: string | null;
  /** Scripts, modules and documents in Consul. */
  readonly wanted: number;
  readonly gateways: readonly ShownGateway[];
  /** The names of those that are behind. */
  readonly behind: readonly string[];
  /** What is there and belongs to no gateway, each in one line. */
  readonly faults: readonly string[];
}

export interface ShownGateway {
  readonly name: string;
  /** Of its admin API. */
  readonly admin: string;
  readonly tls: boolean;
  /** In the catalog; `null`: it is not there. */
  readonly node: string | null;
  /** What its check says; `unregistered`: it has none, but its key in KV is held. */
  readonly state: "passing" | "warning" | "critical" | "unregistered";
  readonly note: string;
  readonly startedAt: string | null;
  /** The version of Sluice that runs. */
  readonly software: string | null;
  /** It answers this question. */
  readonly self: boolean;
  /** How many of its versions are those that Consul has; `null`: it does not say. */
  readonly current: number | null;
  /** The first subjects that it does not have as Consul has them; `null`: it does not say. */
  readonly behind: readonly Difference[] | null;
  /** All of them. */
  readonly behindCount: number | null;
  /** Texts in Consul that it refuses. */
  readonly refused: readonly string[];
  /** Documents that hold there alone, in the place of what Consul has. */
  readonly local: readonly string[];
}

export interface Difference {
  /** `scripts/shop.example.com`. */
  readonly key: string;
  /** The first digits of versions; `null`: there is none. */
  readonly has: string | null;
  readonly wanted: string | null;
}

const mostShown = 50;
/** How long an answer serves whoever asks next, because many may watch. */
const freshMs = 1_000;

export class Fleet {
  readonly #options: FleetOptions;
  #answer: Promise<FleetAnswer> | null = null;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Rejects with a `ConsulError` when Consul does not answer. */
  show(): Promise<FleetAnswer> {
    const nowMs = this.#options.ticks();
    if (this.#answer === null || nowMs - this.#askedMs >= freshMs) {
      this.#askedMs = nowMs;
      this.#answer = this.#look();
    }
    return this.#answer;
  }

  async #look(): Promise<FleetAnswer> {
    const { name: own, service, records, registered } = this.#options;
    const [wanted, { gateways, faults }, entries] = await Promise.all([
      this.#wanted(),
      registeredGateways(records.kv, records.keys.gateways),
      service === null ? [] : registered(service),
    ]);
    const digest = digestOf(wanted);
    const unnamed = new Map(gateways.map((gateway) => [gateway.name, gateway]));
    const shown: ShownGateway[] = [];
    const strangers: string[] = [];
    for (const entry of entries) {
      const name = entry.meta.name ?? "";
      if (entry.id !== `${service}-${name}`) {
        strangers.push(
          `the service ${service} has ${entry.id} on ${entry.node}, which is no gateway`,
        );
        continue;
      }
      const gateway = unnamed.get(name) ?? null;
      unnamed.delete(name);
      const { node, status: state, note, meta } = entry;
      shown.push({
        ...{ name, node, state, note, self: name === own },
        ...placeOf(gateway, entry),
        startedAt: gateway?.startedAt ?? null,
        software: gateway?.applied?.software ?? meta.version ?? null,
        ...compare(gateway?.applied ?? null, wanted, digest),
      });
    }
    for (const gateway of unnamed.values()) {
      const { name, admin, isTls: tls, startedAt, applied } = gateway;
      shown.push({
        ...{ name, admin, tls, node: null, state: "unregistered", note: "", self: name === own },
        ...{ startedAt, software: applied?.software ?? null },
        ...compare(applied, wanted, digest),
      });
    }
    shown.sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      service,
      wanted: wanted.size,
      gateways: shown,
      behind: shown
        .filter(({ behindCount }) => behindCount !== null && behindCount > 0)
        .map(({ name }) => name),
      faults: [...faults, ...strangers].slice(0, mostShown),
    };
  }

  /** What Consul has, by the names that gateways know it by. */
  async #wanted(): Promise<Versions> {
    const folders = await Promise.all(subjectKinds.map((kind) => this.#folder(kind)));
    return new Map(folders.flat());
  }

  async #folder(kind: SubjectKind): Promise<readonly (readonly [Subject, string])[]> {
    const { kv, keys, sites } = this.#options.records;
    const folder = keys.folder(kind);
    const found = new Map<Subject, string>();
    for (const { key, text } of await kv.list(folder)) {
      const spelt = key.slice(folder.length);
      const name = nameOf(() => parseEntryName(entryKinds[kind], key, spelt, sites));
      if (name === null) continue;
      const subject: Subject = `${kind}/${name}`;
      // Of several spellings of a site that which is spelt as the site is holds, else the first.
      if (!found.has(subject) || name === spelt) found.set(subject, text);
    }
    return Array.from(found, ([subject, text]) => [subject, shortVersion(versionOf(text))]);
  }
}

/** `null`: no gateway can have an entry of this name. */
function nameOf(parse: () => string): string | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DocumentError) return null;
    throw error;
  }
}

function placeOf(
  gateway: RegisteredGateway | null,
  { address: host, port, meta }: ServiceEntry,
): Pick<ShownGateway, "admin" | "tls"> {
  if (gateway !== null) return { admin: gateway.admin, tls: gateway.isTls };
  return { admin: formatAddress({ host, port }), tls: meta.tls === "true" };
}

function compare(
  applied: Applied | null,
  wanted: Versions,
  digest: string,
): Pick<ShownGateway, "current" | "behind" | "behindCount" | "refused" | "local"> {
  if (applied === null)
    return { current: null, behind: null, behindCount: null, refused: [], local: [] };
  const { versions, refused, local } = applied;
  const shown = [...refused];
  if (versions === null) {
    // It has too many entries to list: it says only whether all are as Consul has them.
    const isCurrent = applied.digest === digest;
    return {
      current: isCurrent ? wanted.size : null,
      behind: [],
      behindCount: isCurrent ? 0 : 1,
      ...{ refused: shown, local },
    };
  }
  const behind: Difference[] = [];
  let current = 0;
  for (const [key, version] of wanted) {
    const has = versions.get(key) ?? null;
    if (has === version) current += 1;
    else if (!refused.has(key)) behind.push({ key, has, wanted: version });
  }
  for (const [key, has] of versions) {
    if (!wanted.has(key)) behind.push({ key, has, wanted: null });
  }
  return {
    current,
    behind: behind.slice(0, mostShown),
    behindCount: behind.length,
    ...{ refused: shown, local },
  };
}
