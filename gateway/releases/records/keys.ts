/** Where in Consul KV the life of scripts is kept, below the prefix. */
import { createHash } from "node:crypto";

/** A script or a module: `scripts/<host>`, `modules/<name>`. */
export type Subject = `scripts/${string}` | `modules/${string}`;

export interface LifeKeys {
  /** The source that operators write. */
  source(subject: Subject): string;
  /** What the gateways agree on. */
  life(host: string): string;
  history(subject: Subject): string;
  /** All histories. */
  readonly histories: string;
  /** The source of one version of the history. */
  version(subject: Subject, version: string): string;
  /** All scripts, modules or settings. */
  folder(name: "scripts" | "modules" | "settings"): string;
  /** Every gateway that runs has a key below this one. */
  readonly gateways: string;
}

/** @param prefix of all keys, with a slash at its end. */
export function lifeKeys(prefix: string): LifeKeys {
  return {
    source: (subject) => `${prefix}${subject}`,
    life: (host) => `${prefix}live/${host}`,
    history: (subject) => `${prefix}history/${subject}`,
    histories: `${prefix}history/`,
    version: (subject, version) => `${prefix}versions/${subject}/${version}`,
    folder: (name) => `${prefix}${name}/`,
    gateways: `${prefix}gateways/`,
  };
}

/** Whether it can name a script or a module. */
export function isSubject(text: string): text is Subject {
  return /^(?:scripts|modules)\/[^/]/.test(text) && !text.endsWith("/");
}

/** The SHA-256 of a source, hexadecimal. */
export function versionOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
