/** How the tenants of a gateway are written: who has which hosts and names, and what is for all. */
import * as z from "zod";
import { checkDocument, DocumentError, parseHostName, parseJson } from "./documents/index.ts";
import {
  defaultTenant,
  parseServiceName,
  type TenantKind,
  type TenantNames,
  type TenantPolicy,
} from "./model/index.ts";
import type { Definition } from "./settings-table.ts";

/** Not a tenant: what all may use. */
const shared = "shared";
const maxPatterns = 10_000;
const tenantName = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** What names of modules, settings and upstreams may begin with. */
const beginning = /^[A-Za-z0-9_-][A-Za-z0-9._/-]{0,252}$/;
/** What hosts may begin with, spelt as they are. */
const hostBeginning = /^[a-z0-9_][a-z0-9._-]{0,252}$/;

const patterns = z.array(z.string().max(260)).max(maxPatterns).default([]);
const written = z.record(
  z.string(),
  z.strictObject({
    prefix: z.string().min(1).max(253).optional(),
    hosts: patterns,
    modules: patterns,
    settings: patterns,
    upstreams: patterns,
  }),
);
type Written = z.output<typeof written>[string];

const kinds = ["hosts", "modules", "settings", "upstreams"] as const;

export const tenantDefinitions = {
  tenants: {
    argument: "JSON",
    meaning:
      "Which tenant has which hosts, modules, settings and upstreams, and what all share: what scripts and documents are held to. Without it there is one tenant.",
    fallback: null,
    schema: tenantPolicy(),
  },
} as const satisfies Readonly<Record<string, Definition>>;

/** An object in the file, its JSON in a flag or a variable. */
function tenantPolicy(): z.ZodType<TenantPolicy> {
  return z.unknown().transform((raw, context) => {
    try {
      return readPolicy(typeof raw === "string" ? parseJson("", raw) : raw);
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      context.addIssue({ code: "custom", message: error.problem });
      return z.NEVER;
    }
  });
}

/** @throws DocumentError */
function readPolicy(raw: unknown): TenantPolicy {
  const tenants: Record<string, TenantNames> = {};
  let all: TenantNames = { hosts: [], modules: [], settings: [], upstreams: [] };
  for (const [name, fields] of Object.entries(checkDocument("", raw, written))) {
    if (!tenantName.test(name)) refuse(`${JSON.stringify(name)} is not a tenant's name`);
    if (name === defaultTenant) {
      refuse(`"${defaultTenant}" has what no other tenant has; it cannot be given more`);
    }
    const names = readNames(name, fields);
    if (name === shared) all = names;
    else tenants[name] = names;
  }
  for (const kind of kinds) refuseOverlaps(kind, tenants);
  return { tenants, shared: all };
}

function readNames(tenant: string, fields: Written): TenantNames {
  const { prefix } = fields;
  if (prefix !== undefined) checkBeginning(`${tenant}.prefix`, prefix, "hosts");
  const read = (kind: TenantKind): readonly string[] => {
    const own = fields[kind].map((pattern, at) =>
      readPattern(`${tenant}.${kind}[${at}]`, kind, pattern),
    );
    return prefix === undefined ? own : [`${prefix}*`, ...own];
  };
  return {
    hosts: read("hosts"),
    modules: read("modules"),
    settings: read("settings"),
    upstreams: read("upstreams"),
  };
}

/** A name, a beginning with `*` behind it, or a host's wildcard, in its one spelling. */
function readPattern(where: string, kind: TenantKind, pattern: string): string {
  if (pattern.endsWith("*")) {
    checkBeginning(where, pattern.slice(0, -1), kind);
    return pattern;
  }
  if (kind === "hosts") {
    const host = parseHostName(pattern);
    if (host !== null) return host;
    refuse(`${where}: ${JSON.stringify(pattern)} is not a host, *.domain or a beginning with a *`);
  }
  if (!beginning.test(pattern)) {
    refuse(`${where}: ${JSON.stringify(pattern)} is not a name or a beginning with a *`);
  }
  return pattern;
}

function checkBeginning(where: string, text: string, kind: TenantKind): void {
  const grammar = kind === "hosts" ? hostBeginning : beginning;
  if (!grammar.test(text)) {
    refuse(`${where}: ${JSON.stringify(text)} is not what ${kind} begin with`);
  }
}

/** A name has one tenant, as a key in Consul has: with ACLs by key prefix the shorter one would have both. */
function refuseOverlaps(kind: TenantKind, tenants: Readonly<Record<string, TenantNames>>): void {
  const isService = kind === "hosts" || kind === "upstreams";
  const all = Object.entries(tenants).flatMap(([tenant, names]) =>
    names[kind].map((pattern) => {
      const isBeginning = pattern.endsWith("*");
      const text = isBeginning ? pattern.slice(0, -1) : pattern;
      const service = isService && !isBeginning ? parseServiceName(text) : null;
      return { tenant, pattern, isBeginning, text: service?.name ?? text };
    }),
  );
  const beginnings = new Map<string, (typeof all)[number]>();
  const wholes = new Map<string, (typeof all)[number]>();
  for (const one of all) {
    const same = one.isBeginning ? beginnings : wholes;
    const other = same.get(one.text);
    if (other !== undefined && other.tenant !== one.tenant) refuseTwice(kind, one, other);
    same.set(one.text, one);
  }
  const lengths = new Set(Array.from(beginnings.keys(), (text) => text.length));
  for (const one of all) {
    for (const length of lengths) {
      if (length > one.text.length) continue;
      const other = beginnings.get(one.text.slice(0, length));
      if (other !== undefined && other.tenant !== one.tenant) refuseTwice(kind, one, other);
    }
  }
}

interface Claim {
  readonly tenant: string;
  readonly pattern: string;
}

function refuseTwice(kind: TenantKind, one: Claim, other: Claim): never {
  refuse(
    `${one.tenant}.${kind}: ${JSON.stringify(one.pattern)} is part of ${JSON.stringify(other.pattern)}, which the tenant ${other.tenant} has`,
  );
}

function refuse(problem: string): never {
  throw new DocumentError("bad_document", "", problem);
}
