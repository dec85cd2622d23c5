/** What has versions, and where in Consul KV they and what is known of them are kept, below the prefix. */
import { bellFolder } from "../../documents/index.ts";
import type { DocumentKind } from "../../model/index.ts";

/** The folders whose entries have versions. */
export const subjectKinds = ["scripts", "modules", "hosts", "upstreams", "peers"] as const;
export type SubjectKind = (typeof subjectKinds)[number];

/** The kind of entry that each is of. */
export const entryKinds = {
  scripts: "script",
  modules: "module",
  hosts: "host",
  upstreams: "upstream",
  peers: "peer",
} as const satisfies Record<SubjectKind, DocumentKind>;

/** A script, a module, a host document or an upstream document: `scripts/<host>`, `upstreams/<name>`. */
export type Subject = `${SubjectKind}/${string}`;

export interface RecordKeys {
  /** What operators write. */
  source(subject: Subject): string;
  /** What the gateways agree on for a host's script. */
  agreement(host: string): string;
  /** All agreements. */
  readonly agreements: string;
  history(subject: Subject): string;
  /** All histories. */
  readonly histories: string;
  /** Where a writer of agreements says whose it changed last. */
  bell(name: string): string;
  /** All bells. */
  readonly bells: string;
  /** The text of one version of the history; without a version, the folder of all. */
  version(subject: Subject, version: string): string;
  /** All entries of one kind. */
  folder(name: SubjectKind | "settings"): string;
  /** Every gateway that runs has a key below this one. */
  readonly gateways: string;
}

/** @param prefix of all keys, with a slash at its end. */
export function recordKeys(prefix: string): RecordKeys {
  return {
    source: (subject) => `${prefix}${subject}`,
    agreement: (host) => `${prefix}live/${host}`,
    agreements: `${prefix}live/`,
    history: (subject) => `${prefix}history/${subject}`,
    histories: `${prefix}history/`,
    bell: (name) => `${prefix}${bellFolder}${name}`,
    bells: `${prefix}${bellFolder}`,
    version: (subject, version) => `${prefix}versions/${subject}/${version}`,
    folder: (name) => `${prefix}${name}/`,
    gateways: `${prefix}gateways/`,
  };
}

/** Whether it can name something that has versions. */
export function isSubject(text: string): text is Subject {
  return (
    subjectKinds.some((kind) => text.startsWith(`${kind}/`)) && !/^[^/]*\/(?:\/|$)|\/$/.test(text)
  );
}

/** What a subject is, and its name: of `modules/a/b`, `modules` and `a/b`. */
export function partsOf(subject: Subject): { readonly kind: SubjectKind; readonly name: string } {
  const slash = subject.indexOf("/");
  return { kind: subject.slice(0, slash) as SubjectKind, name: subject.slice(slash + 1) };
}

/** The host that a subject is named by; `null` where its name is no host. */
export function hostOf(subject: Subject): string | null {
  const { kind, name } = partsOf(subject);
  return kind === "scripts" || kind === "hosts" ? name : null;
}
