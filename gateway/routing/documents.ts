/** The upstream documents of one version, each with the upstream that it describes. */
import { type PeerBook, Upstream } from "../balancing/index.ts";
import type { Instance, ServiceQuery, UpstreamDocument } from "../state/index.ts";
import { parseServiceName, serviceKey } from "../state/index.ts";
import { instanceLevel, type Services } from "./services.ts";

/** A document and its upstream. */
export interface Documented {
  readonly document: UpstreamDocument;
  /** The service that the document names; `null` when it lists servers. */
  readonly query: ServiceQuery | null;
  /** The instances that the upstream was made of; `null` for none or fixed servers. */
  readonly instances: readonly Instance[] | null;
  /** `null`: its service is not watched yet. */
  readonly upstream: Upstream | null;
  dispose(): void;
}

export class Documents {
  static readonly empty: Documents = new Documents(new Map());

  readonly #documents: ReadonlyMap<string, Documented>;
  /** Names of the documents that depend on a service, by its key. */
  readonly #dependents: ReadonlyMap<string, readonly string[]>;

  private constructor(
    documents: ReadonlyMap<string, Documented>,
    dependents?: ReadonlyMap<string, readonly string[]>,
  ) {
    this.#documents = documents;
    this.#dependents = dependents ?? findDependents(documents);
  }

  get(name: string): Documented | undefined {
    return this.#documents.get(name);
  }

  *all(): Generator<Documented> {
    yield* this.#documents.values();
  }

  /**
   * The documents of `table` with the instances of `services`, sharing what is the same object as
   * here. With `changed` and `changedServices`, only these are looked at; `this` itself when that
   * leaves nothing. What the new version no longer has is added to `dropped`.
   */
  next(
    table: ReadonlyMap<string, UpstreamDocument>,
    services: Services,
    changed: ReadonlySet<string> | null,
    changedServices: ReadonlySet<string> | null,
    book: PeerBook,
    dropped: { dispose(): void }[],
  ): Documents {
    const names = new Set(changed ?? [...this.#documents.keys(), ...table.keys()]);
    for (const key of changedServices ?? []) {
      for (const name of this.#dependents.get(key) ?? []) names.add(name);
    }
    if (names.size === 0) return this;
    const documents = new Map(this.#documents);
    let sameServices = true;
    for (const name of names) {
      const document = table.get(name);
      const known = this.#documents.get(name);
      const made = document === undefined ? undefined : make(name, document, services, book, known);
      if (made === known) continue;
      if (known !== undefined) dropped.push(known);
      if (made === undefined) documents.delete(name);
      else documents.set(name, made);
      if (made?.document.service !== known?.document.service) sameServices = false;
    }
    return new Documents(documents, sameServices ? this.#dependents : undefined);
  }
}

function make(
  name: string,
  document: UpstreamDocument,
  services: Services,
  book: PeerBook,
  known: Documented | undefined,
): Documented {
  const query = document.service === null ? null : parseServiceName(document.service);
  const instances = query === null ? null : services.instances(serviceKey(query));
  if (known?.document === document && known.instances === instances) return known;
  const limits =
    document.tries === null && document.timeouts === undefined
      ? null
      : { maxTries: document.tries, ...document.timeouts };
  const options = { name, limits };
  let upstream: Upstream | null = null;
  if (query === null)
    upstream = new Upstream(document.levels, options, book, known?.upstream ?? null);
  else if (instances !== null) {
    const levels = [instanceLevel(instances, query.tag, document)];
    upstream = new Upstream(levels, options, book, known?.upstream ?? null);
  }
  return { document, query, instances, upstream, dispose: () => upstream?.dispose() };
}

function findDependents(
  documents: ReadonlyMap<string, Documented>,
): ReadonlyMap<string, readonly string[]> {
  const dependents = new Map<string, string[]>();
  for (const [name, { query }] of documents) {
    if (query === null) continue;
    const key = serviceKey(query);
    const names = dependents.get(key);
    if (names === undefined) dependents.set(key, [name]);
    else names.push(name);
  }
  return dependents;
}
