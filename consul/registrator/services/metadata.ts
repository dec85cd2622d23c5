/**
 * The SERVICE_ metadata of a container: environment variables and labels, for all ports or for one, by
 * the rules of gliderlabs/registrator (its documentation, "Service Object"). It gives no meaning to any
 * key; services.ts and check.ts do.
 */

export interface Attribute {
  readonly value: string;
  /** As the operator wrote it: `SERVICE_80_NAME`. */
  readonly label: string;
  /** The label names the port. */
  readonly ofPort: boolean;
}

/** Attributes by key: lower case, without `SERVICE_` and the port. */
export type Attributes = ReadonlyMap<string, Attribute>;

export interface Metadata {
  readonly general: Attributes;
  /** By exposed port. */
  readonly byPort: ReadonlyMap<string, Attributes>;
  /** Labels without a key: `SERVICE_`, `SERVICE_80_`. */
  readonly nameless: readonly string[];
}

const prefix = "SERVICE_";
const portFirst = /^(\d+)_(.*)$/s;

/** Labels win over environment variables, which an image may have brought along. */
export function readMetadata(
  env: readonly string[],
  labels: Readonly<Record<string, string>>,
): Metadata {
  const general = new Map<string, Attribute>();
  const byPort = new Map<string, Map<string, Attribute>>();
  const nameless: string[] = [];
  for (const [label, value] of [...variablesOf(env), ...Object.entries(labels)]) {
    if (!label.startsWith(prefix)) continue;
    const rest = label.slice(prefix.length);
    const [, port, ofPort] = portFirst.exec(rest) ?? [];
    const key = (ofPort ?? rest).toLowerCase();
    if (key === "") {
      nameless.push(label);
    } else if (port === undefined) {
      general.set(key, { value, label, ofPort: false });
    } else {
      const attributes = byPort.get(port) ?? new Map<string, Attribute>();
      byPort.set(port, attributes.set(key, { value, label, ofPort: true }));
    }
  }
  return { general, byPort, nameless };
}

/** A container's environment by name; a later entry wins. */
export function variablesOf(env: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    env.flatMap((entry) => {
      const equals = entry.indexOf("=");
      return equals < 0 ? [] : [[entry.slice(0, equals), entry.slice(equals + 1)] as const];
    }),
  );
}

/** What holds for one exposed port: its own attributes before the general ones. */
export function attributesOf(metadata: Metadata, port: string): Attributes {
  return new Map([...metadata.general, ...(metadata.byPort.get(port) ?? [])]);
}

/** Tags of a list; `\,` is a comma within a tag. Empty ones are left out, each stands once. */
export function splitTags(list: string): readonly string[] {
  const tags = list
    .split(/(?<!\\),/)
    .map((tag) => tag.replaceAll("\\,", ",").trim())
    .filter((tag) => tag !== "");
  return [...new Set(tags)];
}
