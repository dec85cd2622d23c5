/** Finds the certificates for a name. It is built when a version is applied; finding takes two look-ups in maps. */
import { type Certificate, namedCertificate, versionOf } from "../../model/index.ts";

/** The certificates for one name: at most one for each kind of key. */
export interface CertificateGroup {
  readonly certificates: readonly Certificate[];
  /** Changes whenever one of the certificates changes. */
  readonly id: string;
  /** Whether all of them are valid for this host. */
  covers(host: string): boolean;
}

type KeyType = "ec" | "rsa" | "other";

export class CertificateIndex {
  /** By a name in the certificate: a host, or `*.domain`. */
  readonly #groups = new Map<string, CertificateGroup>();
  readonly #table: ReadonlyMap<string, Certificate>;

  /** `table`: certificates by `kv/<name>` and `file/<name>`. */
  constructor(table: ReadonlyMap<string, Certificate>) {
    this.#table = table;
    const best = new Map<string, Map<KeyType, Certificate>>();
    for (const certificate of table.values()) {
      const { facts } = certificate;
      if (facts === null || certificate.key === null) continue;
      for (const name of facts.names) {
        const kinds = best.get(name) ?? new Map<KeyType, Certificate>();
        best.set(name, kinds);
        const other = kinds.get(facts.keyType)?.facts?.notAfter ?? 0;
        if (facts.notAfter > other) kinds.set(facts.keyType, certificate);
      }
    }
    const groups = new Map<string, CertificateGroup>();
    for (const [name, kinds] of best) {
      const group = groupOf([...kinds.values()]);
      const same = groups.get(group.id) ?? group;
      groups.set(same.id, same);
      this.#groups.set(name, same);
    }
  }

  /** Returns `null` when no certificate is for this host. A wildcard stands for one label (RFC 9525 section 6.3). */
  find(host: string): CertificateGroup | null {
    const exact = this.#groups.get(host);
    if (exact !== undefined) return exact;
    const dot = host.indexOf(".");
    return (dot < 1 ? undefined : this.#groups.get(`*${host.slice(dot)}`)) ?? null;
  }

  /** The certificate with this name in `certificates/`, or from a file. */
  named(name: string): Certificate | null {
    return namedCertificate(this.#table, name);
  }
}

export function groupOf(certificates: readonly Certificate[]): CertificateGroup {
  const names = certificates.map(({ facts }) => new Set(facts?.names));
  return {
    certificates,
    id: certificates.map(({ chain }) => versionOf(chain)).join("+"),
    covers(host) {
      const dot = host.indexOf(".");
      const wildcard = dot < 1 ? "" : `*${host.slice(dot)}`;
      return names.every((set) => set.has(host) || set.has(wildcard));
    },
  };
}
