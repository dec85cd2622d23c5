/**
 * Traefik's tags of one service: `traefik.http.routers.<name>.rule=...` and what goes with it (Traefik
 * documentation, "Consul Catalog"). A router with a guard that Sluice does not have makes no route, so that
 * moving over opens nothing.
 */
import { isAddressBlock } from "../../gateway/documents/index.ts";
import type { PluginUse, Transport } from "../../gateway/model/index.ts";
import { type Claim, type Note, overTls, pathProblem, type Reading, shown } from "./claim.ts";
import { type Alternative, RuleError, readRule } from "./traefik-rule.ts";

const prefix = "traefik.";

export function isTraefikTag(tag: string): boolean {
  return tag.length >= prefix.length && tag.slice(0, prefix.length).toLowerCase() === prefix;
}

/** A value, and the tag that has it. */
interface Option {
  readonly tag: string;
  readonly value: string;
}

type Options = Map<string, Option>;

/** By name, each with its options. */
type Named = Map<string, Options>;

/** Middlewares whose absence changes what clients see, and lets nobody in. */
const harmless: ReadonlySet<string> = new Set([
  ...["buffering", "circuitbreaker", "compress", "contenttype", "errors", "grpcweb", "headers"],
  ...["inflightreq", "passtlsclientcert", "ratelimit", "retry"],
]);

/** What routers say beside their rule and without effect, and why. */
const idleOfRouter: readonly (readonly [name: string, why: string])[] = [
  ["entrypoints", "a route holds on every listener that exposes tags"],
  ["tls", "which listeners have TLS is a matter of their settings"],
  ["rulesyntax", "rules are read in one syntax"],
  ["observability", "logs and metrics are the same for all routes"],
];

/** By scheme; `null`: HTTP/1.1 in clear. */
const transports: Readonly<Record<string, Transport | null>> = {
  http: null,
  https: overTls({}),
  h2c: { protocol: "h2c" },
};

export function readTraefikTags(tags: readonly string[]): Reading {
  const notes: Note[] = [];
  const routers: Named = new Map();
  const services: Named = new Map();
  const middlewares: Named = new Map();
  const groups: Readonly<Record<string, Named>> = { routers, services, middlewares };
  for (const tag of tags) {
    const equals = tag.indexOf("=");
    const key = (equals === -1 ? tag : tag.slice(0, equals)).trim().toLowerCase();
    const value = equals === -1 ? "" : tag.slice(equals + 1).trim();
    if (key === "traefik.enable") {
      if (value.toLowerCase() === "false") return { claims: [], notes: [] };
      continue;
    }
    const [, group = "", name = "", option = ""] =
      /^traefik\.http\.(routers|services|middlewares)\.([^.]+)\.(.+)$/.exec(key) ?? [];
    const named = groups[group];
    if (named === undefined) notes.push({ tag, text: idleTag(key) });
    else {
      const known = named.get(name) ?? new Map();
      const before = known.get(option);
      if (before === undefined) known.set(option, { tag, value });
      else if (before.value !== value)
        notes.push({ tag, text: `has no effect: ${shown(before.tag)} says otherwise` });
      named.set(name, known);
    }
  }
  for (const options of services.values()) notes.push(...notesOfService(options));
  const claims: Claim[] = [];
  for (const options of routers.values()) {
    const read = readRouter(options, middlewares, services);
    claims.push(...read.claims);
    notes.push(...read.notes);
  }
  return { claims, notes };
}

function idleTag(key: string): string {
  if (/^traefik\.(tcp|udp)\./.test(key)) return "makes no route: only HTTP is routed by tags";
  return "has no effect: it is no tag that is known";
}

function* notesOfService(options: Options): Generator<Note> {
  for (const [name, { tag, value }] of options) {
    if (name === "loadbalancer.server.port")
      yield { tag, text: "has no effect: requests go to the port that is registered in Consul" };
    else if (name === "loadbalancer.passhostheader" && /^(true|false)$/.test(value)) continue;
    else if (name.startsWith("loadbalancer.sticky"))
      yield { tag, text: "has no effect: write a host document with sticky" };
    else if (name.startsWith("loadbalancer.healthcheck"))
      yield { tag, text: "has no effect: Consul's checks say which instances are well" };
    else if (name !== "loadbalancer.server.scheme")
      yield { tag, text: "has no effect: write an upstream document for it" };
  }
}

function readRouter(options: Options, middlewares: Named, services: Named): Reading {
  const rule = options.get("rule");
  const notes: Note[] = [];
  for (const [name, { tag }] of options)
    for (const [idle, why] of idleOfRouter)
      if (name === idle || name.startsWith(`${idle}.`))
        notes.push({ tag, text: `has no effect: ${why}` });
  const none = (option: Option, why: string): Reading => ({
    claims: [],
    notes: [...notes, { tag: option.tag, text: `makes no route: ${why}` }],
  });
  if (rule === undefined) {
    const [first] = options.values();
    return first === undefined ? { claims: [], notes } : none(first, "its router has no rule");
  }
  const service = options.get("service");
  if (service?.value.includes("@"))
    return none(service, `${shown(service.value)} is not a service of Consul's`);
  const scheme = schemeOf(service, services);
  const name = scheme?.value ?? "http";
  const transport = Object.hasOwn(transports, name) ? transports[name] : undefined;
  if (scheme !== null && transport === undefined)
    return none(scheme, `${shown(name)} is not http, https or h2c`);
  const passed = readMiddlewares(options.get("middlewares"), middlewares);
  if ("why" in passed) return none(passed.option, passed.why);
  notes.push(...passed.notes);
  const priority = readPriority(options.get("priority"), notes);
  let alternatives: readonly Alternative[];
  try {
    alternatives = readRule(rule.value);
  } catch (error) {
    if (error instanceof RuleError) return none(rule, error.message);
    throw error;
  }
  if (alternatives.length === 0) return none(rule, "nothing can match its rule");
  const { tag } = rule;
  const { plugins } = passed;
  const sentHost = sentHostOf(service, services);
  const claims = alternatives.map(
    ({ host, path, isExact }): Claim => ({
      ...{ tag, host: host ?? "*", path: path ?? "/", isExact, priority, weight: null },
      ...{ plugins, sentHost, transport: transport ?? null, isForTagged: false },
    }),
  );
  return { claims, notes };
}

/** The option that gives the router's service a scheme; `null`: there is none. */
function schemeOf(service: Option | undefined, services: Named): Option | null {
  for (const [name, options] of services) {
    if (service !== undefined && service.value.toLowerCase() !== name) continue;
    const scheme = options.get("loadbalancer.server.scheme");
    if (scheme !== undefined) return scheme;
  }
  return null;
}

/** Traefik sends the server's own name when the client's is not to be passed on. */
function sentHostOf(service: Option | undefined, services: Named): Claim["sentHost"] {
  for (const [name, options] of services) {
    if (service !== undefined && service.value.toLowerCase() !== name) continue;
    if (options.get("loadbalancer.passhostheader")?.value === "false") return "peer";
  }
  return null;
}

function readPriority(option: Option | undefined, notes: Note[]): number | null {
  if (option === undefined) return null;
  const isNumber = /^-?\d{1,9}$/.test(option.value);
  if (!isNumber) notes.push({ tag: option.tag, text: "has no effect: it is no whole number" });
  // As there: 0 is no priority of its own.
  return isNumber ? Number(option.value) || null : null;
}

interface Passed {
  readonly plugins: readonly PluginUse[];
  readonly notes: readonly Note[];
}

/** The plugins that stand for a router's middlewares, or why the router must not work without them. */
function readMiddlewares(
  named: Option | undefined,
  middlewares: Named,
): Passed | { readonly option: Option; readonly why: string } {
  const notes: Note[] = [];
  const plugins: PluginUse[] = [];
  const names = named?.value.split(",").map((name) => name.trim().toLowerCase()) ?? [];
  for (const full of named === undefined ? [] : names) {
    const name = full.replace(/@consulcatalog$/, "");
    const options = middlewares.get(name);
    const [entry] = options ?? [];
    if (entry === undefined)
      return {
        option: named as Option,
        why: `what the middleware ${shown(full)} does is not known`,
      };
    const [key, option] = entry;
    const [kind = ""] = key.split(".", 1);
    const { value, tag } = option;
    if (options?.size === 1 && key === "stripprefix.prefixes" && pathProblem(value) === null)
      plugins.push({ name: "path", options: { strip: value } });
    else if (options?.size === 1 && key === "addprefix.prefix" && pathProblem(value) === null)
      plugins.push({ name: "path", options: { prepend: value } });
    else if (options?.size === 1 && /^ip(allow|white)list\.sourcerange$/.test(key)) {
      const blocks = value.split(",").map((block) => block.trim());
      if (!blocks.every(isAddressBlock))
        return { option, why: `${shown(value)} is no list of addresses` };
      plugins.push({ name: "ipAllow", options: { addresses: blocks } });
    } else if (harmless.has(kind))
      notes.push({ tag, text: `has no effect: write a host document for ${kind}` });
    else return { option, why: `the middleware ${kind} is not known; write a host document` };
  }
  return { plugins, notes };
}
