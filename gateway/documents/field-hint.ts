/** Which field somebody meant who wrote one that a document does not have: a slip, or a word from nginx or Traefik. */
import * as z from "zod";

/** What a field is called elsewhere, and what here; the first that is known in that place is meant. */
const elsewhere: Readonly<Record<string, readonly string[]>> = {
  address: ["host"],
  algorithm: ["policy"],
  backends: ["servers"],
  balance: ["policy"],
  ca: ["authorities"],
  cert: ["chain"],
  certificate: ["chain"],
  circuitbreaker: ["breaker"],
  endpoints: ["servers"],
  healthcheck: ["check"],
  hostname: ["host"],
  ip: ["host"],
  iphash: ["policy"],
  leastconn: ["policy"],
  loadbalancer: ["servers"],
  location: ["paths"],
  locations: ["paths"],
  middlewares: ["plugins"],
  port: ["address"],
  proxyconnecttimeout: ["connect_timeout"],
  proxynextupstream: ["next_upstream"],
  proxypass: ["upstream", "servers", "paths"],
  proxyreadtimeout: ["read_timeout"],
  proxysendtimeout: ["send_timeout"],
  retries: ["try"],
  rule: ["routes"],
  server: ["servers"],
  service: ["upstream", "paths"],
  upstream: ["servers", "paths"],
  uri: ["path"],
  url: ["host", "path"],
  weights: ["split", "weight"],
};

/** Longer names are no slips of these, and comparing them takes time. */
const maxLength = 40;

/**
 * Returns the field of `schema` that `name` stands for at `path`, or `null`. It may be `name` itself, which another branch
 * of a union has.
 */
export function meantField(
  schema: z.ZodType,
  path: readonly PropertyKey[],
  name: string,
): string | null {
  if (name.length > maxLength) return null;
  const known = [...fieldsAt(schema, path)];
  if (known.includes(name)) return name;
  const plain = plainly(name);
  if (known.some((one) => plainly(one) === plain)) return nearName(known, name);
  const translated = Object.hasOwn(elsewhere, plain) ? (elsewhere[plain] ?? []) : [];
  const word = translated.find((one) => known.includes(one));
  return word ?? nearName(known, name);
}

/** Returns the one of `known` that `name` is a slip of, or another spelling; `null`: of none. */
export function nearName(known: readonly string[], name: string): string | null {
  if (name.length > maxLength) return null;
  const plain = plainly(name);
  const most = plain.length < 5 ? 1 : 2;
  const [near] = known
    .map((one) => ({ one, far: distance(plain, plainly(one)) }))
    .filter(({ far }) => far <= most)
    .sort((a, b) => a.far - b.far);
  return near?.one ?? null;
}

function plainly(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, "");
}

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node | boolean;
  readonly items?: Node | boolean;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly allOf?: readonly Node[];
}

/** Making one takes milliseconds, and somebody may write a thousand faulty documents. */
const nodes = new WeakMap<z.ZodType, Node>();

function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): ReadonlySet<string> {
  let root = nodes.get(schema);
  if (root === undefined) {
    // A JSON Schema has every field of a Node that it has; the rest of it is of no interest here.
    root = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Node;
    nodes.set(schema, root);
  }
  let here = spread([root]);
  for (const part of path) here = spread(here.flatMap((node) => step(node, part)));
  return new Set(here.flatMap(({ properties = {} }) => Object.keys(properties)));
}

/** With the branches of unions in the place of the unions. */
function spread(all: readonly Node[]): readonly Node[] {
  return all.flatMap((node) => {
    const { anyOf = [], oneOf = [], allOf = [] } = node;
    const branches = [...anyOf, ...oneOf, ...allOf];
    return branches.length === 0 ? [node] : [node, ...spread(branches)];
  });
}

function step({ properties = {}, additionalProperties, items }: Node, part: PropertyKey): Node[] {
  if (typeof part === "number") return typeof items === "object" ? [items] : [];
  const name = String(part);
  const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (own !== undefined) return [own];
  return typeof additionalProperties === "object" ? [additionalProperties] : [];
}

/** How many characters have to be put in, taken out, replaced, or swapped with their neighbour. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, at) => at)];
  const cell = (row: number, at: number) => rows[row]?.[at] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    rows.push(line);
    for (let at = 1; at <= b.length; at++) {
      const replaced = cell(row - 1, at - 1) + (a[row - 1] === b[at - 1] ? 0 : 1);
      const areSwapped = a[row - 1] === b[at - 2] && a[row - 2] === b[at - 1];
      const swapped = areSwapped ? cell(row - 2, at - 2) + 1 : Number.POSITIVE_INFINITY;
      line.push(Math.min(replaced, swapped, cell(row - 1, at) + 1, cell(row, at - 1) + 1));
    }
  }
  return cell(a.length, b.length);
}
