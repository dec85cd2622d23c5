/**
 * Finds the certificates for a name. It follows the versions of the table: a change costs as much as the certificates
 * that changed, and a comparison for each other one. Finding takes two look-ups in maps.
 */
import { type Certificate, namedCertificate, versionOf } from "../../model/index.ts";

/** The certificates for one name: at most one for each kind of key. */
export interface CertificateGroup {
  readonly certificates: readonly Certificate[];
  /** Changes whenever one of the certificates changes. */
  readonly id: string;
  /** Whether all of them are valid for this host. */
  covers(host: string): boolean;
}

/** What is made of a certificate once, however many names it is for. */
interface Digest {
  readonly names: ReadonlySet<string>;
  readonly version: string;
}

export class CertificateIndex {
  #table: ReadonlyMap<string, Certificate> = new Map();
  /** By a name in the certificate, a host or `*.domain`: those that are for it, by their keys in the table. */
  readonly #candidates = new Map<string, Map<string, Certificate>>();
  /** By the same names, made when somebody first asks. */
  readonly #groups = new Map<string, CertificateGroup>();

  /**
   * Takes the next version: certificates by `kv/<name>` and `file/<name>`. Returns those of the version before that are
   * gone or were replaced.
   */
  update(table: ReadonlyMap<string, Certificate>): ReadonlySet<Certificate> {
    const before = this.#table;
    const left = new Set<Certificate>();
    for (const [id, certificate] of before)
      if (table.get(id) !== certificate) {
        left.add(certificate);
        this.#leave(id, certificate);
      }
    for (const [id, certificate] of table)
      if (before.get(id) !== certificate) this.#enter(id, certificate);
    this.#table = table;
    return left;
  }

  /** Returns `null` when no certificate is for this host. A wildcard stands for one label (RFC 9525 section 6.3). */
  find(host: string): CertificateGroup | null {
    const exact = this.#groupOf(host);
    if (exact !== null) return exact;
    const dot = host.indexOf(".");
    return dot < 1 ? null : this.#groupOf(`*${host.slice(dot)}`);
  }

  /** The certificate with this name in `certificates/`, or from a file. */
  named(name: string): Certificate | null {
    return namedCertificate(this.#table, name);
  }

  #enter(id: string, certificate: Certificate): void {
    if (certificate.key === null) return;
    for (const name of certificate.facts?.names ?? []) {
      const some = this.#candidates.get(name) ?? new Map<string, Certificate>();
      this.#candidates.set(name, some.set(id, certificate));
      this.#groups.delete(name);
    }
  }

  #leave(id: string, certificate: Certificate): void {
    for (const name of certificate.facts?.names ?? []) {
      const some = this.#candidates.get(name);
      if (some === undefined) continue;
      some.delete(id);
      if (some.size === 0) this.#candidates.delete(name);
      this.#groups.delete(name);
    }
  }

  #groupOf(name: string): CertificateGroup | null {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const some = this.#candidates.get(name);
    if (some === undefined) return null;
    const group = groupOf([...best(some.values())]);
    this.#groups.set(name, group);
    return group;
  }
}

/** The one of each kind of key that expires last; of two that expire together, all workers take the same. */
function best(candidates: Iterable<Certificate>): MapIterator<Certificate> {
  const kinds = new Map<string, Certificate>();
  for (const certificate of candidates) {
    const { facts } = certificate;
    if (facts === null) continue;
    const other = kinds.get(facts.keyType)?.facts;
    const isBetter =
      other == null ||
      facts.notAfter > other.notAfter ||
      (facts.notAfter === other.notAfter && facts.fingerprint < other.fingerprint);
    if (isBetter) kinds.set(facts.keyType, certificate);
  }
  return kinds.values();
}

export function groupOf(certificates: readonly Certificate[]): CertificateGroup {
  const digests = certificates.map(digestOf);
  return {
    certificates,
    id: digests.map(({ version }) => version).join("+"),
    covers(host) {
      const dot = host.indexOf(".");
      const wildcard = dot < 1 ? "" : `*${host.slice(dot)}`;
      return digests.every(({ names }) => names.has(host) || names.has(wildcard));
    },
  };
}

const digests = new WeakMap<Certificate, Digest>();

function digestOf(certificate: Certificate): Digest {
  const known = digests.get(certificate);
  if (known !== undefined) return known;
  const digest = {
    names: new Set(certificate.facts?.names),
    version: versionOf(certificate.chain),
  };
  digests.set(certificate, digest);
  return digest;
}

/** Another text for each chain; hashed once for each certificate. */
export function chainVersion(certificate: Certificate): string {
  return digestOf(certificate).version;
}
