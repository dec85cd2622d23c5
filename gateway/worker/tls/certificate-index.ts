/** Which certificates are for a name. Made when a version is applied; a lookup is two in maps. */
import { type Certificate, versionOf } from "../../model/index.ts";

/** The certificates of a name: at most one for each kind of key. */
export interface CertificateGroup {
  readonly certificates: readonly Certificate[];
  /** Of those it has: changes with each of them. */
  readonly id: string;
  /** Whether all of them are for this host. */
  covers(host: string): boolean;
}

type KeyType = "ec" | "rsa" | "other";

export class CertificateIndex {
  /** By what a certificate names: a host, or `*.domain`. */
  readonly #groups = new Map<string, CertificateGroup>();
  /** By the name that documents and settings call them by. */
  readonly #named = new Map<string, Certificate>();

  /** `table`: by `kv/<name>` and `file/<name>`. */
  constructor(table: ReadonlyMap<string, Certificate>) {
    const best = new Map<string, Map<KeyType, Certificate>>();
    for (const [key, certificate] of table) {
      this.#name(key, certificate);
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

  /** `null`: no certificate is for this host. A wildcard stands for one label (RFC 9525 section 6.3). */
  find(host: string): CertificateGroup | null {
    const exact = this.#groups.get(host);
    if (exact !== undefined) return exact;
    const dot = host.indexOf(".");
    return (dot < 1 ? undefined : this.#groups.get(`*${host.slice(dot)}`)) ?? null;
  }

  /** That of a name in `certificates/`, or of a file. */
  named(name: string): Certificate | null {
    return this.#named.get(name) ?? null;
  }

  /** A file outranks KV: who may write there can do all the rest. */
  #name(key: string, certificate: Certificate): void {
    const slash = key.indexOf("/");
    const name = key.slice(slash + 1);
    if (key.startsWith("file/") || !this.#named.has(name)) this.#named.set(name, certificate);
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
