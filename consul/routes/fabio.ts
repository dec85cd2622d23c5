/**
 * fabio's tags: `urlprefix-host/path option=value ...` (fabio documentation, "Quickstart" and the option list of
 * `route add` in its reference). Reads one tag; knows no other service.
 */
import {
  isAddressBlock,
  isAuthority,
  pluginUse,
  pluginUseSchema,
} from "../../gateway/documents/index.ts";
import type { PluginUse, Transport } from "../../gateway/model/index.ts";
import {
  type Claim,
  type Note,
  nothing,
  overTls,
  pathProblem,
  type Reading,
  readHost,
  shown,
} from "./claim.ts";

const prefix = "urlprefix-";

export function isFabioTag(tag: string): boolean {
  return tag.startsWith(prefix);
}

/** A tag that makes no route, and why. */
class NoRoute {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** The result of reading a tag's options. */
interface Options {
  weight: number | null;
  strip: string | null;
  prepend: string | null;
  sentHost: Claim["sentHost"];
  proto: Proto;
  isInsecure: boolean;
  readonly plugins: PluginUse[];
  /** Options without effect. */
  readonly idle: string[];
}

export function readFabioTag(tag: string): Reading {
  const [place = "", ...words] = tag.slice(prefix.length).trim().split(/\s+/);
  const notes: Note[] = [];
  const options: Options = {
    weight: null,
    strip: null,
    prepend: null,
    sentHost: null,
    proto: "http",
    isInsecure: false,
    plugins: [],
    idle: [],
  };
  const found = readPlace(place, options) ?? readOptions(words, options) ?? readRewrite(options);
  const transport = transportOf(options);
  for (const text of options.idle) notes.push({ tag, text });
  if (found instanceof NoRoute)
    return { claims: [], notes: [...notes, { tag, text: `makes no route: ${found.why}` }] };
  const slash = place.indexOf("/");
  const host = hostOf(place.slice(0, slash));
  if (host === null) return { ...nothing, notes };
  const { weight, plugins, sentHost } = options;
  const claim: Claim = {
    ...{ tag, host, path: place.slice(slash), isExact: false, priority: null, weight, plugins },
    ...{ sentHost, transport },
    isForTagged: true,
  };
  return { claims: [claim], notes };
}

function readPlace(place: string, { idle }: Options): NoRoute | null {
  const slash = place.indexOf("/");
  if (slash === -1)
    return new NoRoute(
      place.startsWith(":")
        ? `${shown(place)} is a port for TCP, which is not routed by tags: ${replacements.tcp}`
        : `${shown(place)} has no /; a host alone ends with one`,
    );
  const host = place.slice(0, slash);
  if (hostOf(host) === null) return new NoRoute(`${shown(host)} is not a host or *.domain`);
  if (/:\d+$/.test(host)) idle.push("its port has no effect: hosts are the same on every port");
  const problem = pathProblem(place.slice(slash));
  return problem === null ? null : new NoRoute(`the path ${shown(place.slice(slash))} ${problem}`);
}

/** After the plugins that let clients in, and before a redirect, whose `$path` is what is left of the path. */
function readRewrite({ strip, prepend, plugins }: Options): NoRoute | null {
  if (strip === null && prepend === null) return null;
  const read = pluginUseSchema.safeParse({
    path: { ...(strip === null ? {} : { strip }), ...(prepend === null ? {} : { prepend }) },
  });
  if (!read.success) return new NoRoute("strip= or prepend= is no path");
  const redirect = plugins.findIndex(({ name }) => name === "redirect");
  plugins.splice(redirect === -1 ? plugins.length : redirect, 0, pluginUse(read.data));
  return null;
}

/** `null`: it is none. No host is every host. */
function hostOf(text: string): string | null {
  return text === "" || text === "*" ? "*" : readHost(text.replace(/:\d+$/, ""));
}

function readOptions(words: readonly string[], options: Options): NoRoute | null {
  for (const word of words) {
    const equals = word.indexOf("=");
    const [name, value] =
      equals === -1 ? [word, ""] : [word.slice(0, equals), word.slice(equals + 1)];
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined;
    const refused =
      read === undefined
        ? void options.idle.push(`${shown(name)} has no effect: it is no option that is known`)
        : read(value, options);
    if (refused instanceof NoRoute) return refused;
  }
  return null;
}

/** How fabio reaches a service. */
const protos = ["http", "https", "grpc", "grpcs"] as const;
type Proto = (typeof protos)[number];

function isProto(text: string): text is Proto {
  return protos.some((proto) => proto === text);
}

/** What to use for what is no HTTP. */
const replacements: Readonly<Record<string, string>> = {
  tcp: "name the port and the service with --tcp, or in listeners/",
  "tcp+sni": "add a listener with the protocol tls-passthrough",
};

function transportOf({ proto, isInsecure, idle }: Options): Transport | null {
  if (isInsecure && !proto.endsWith("s"))
    idle.push(`tlsskipverify= has no effect: proto=${proto} is in clear`);
  if (proto === "http") return null;
  if (proto === "grpc") return { protocol: "h2c" };
  return overTls({ isInsecure, ...(proto === "grpcs" ? { protocol: "h2" as const } : {}) });
}

type Read = (value: string, options: Options) => NoRoute | undefined;

const readers: Readonly<Record<string, Read>> = {
  weight: (value, options) => {
    const weight = /^(0|1|0?\.\d{1,6}|1\.0{1,6})$/.test(value) ? Number(value) : null;
    if (weight === null)
      options.idle.push(`weight=${shown(value)} has no effect: it is no number from 0 to 1`);
    // As there: no weight of its own.
    else options.weight = weight === 0 ? null : weight;
    return undefined;
  },
  strip: (value, options) => {
    const problem = pathProblem(value);
    if (problem !== null) return new NoRoute(`strip=${shown(value)} ${problem}`);
    options.strip = value;
    return undefined;
  },
  prepend: (value, options) => {
    const problem = pathProblem(value);
    if (problem !== null) return new NoRoute(`prepend=${shown(value)} ${problem}`);
    options.prepend = value;
    return undefined;
  },
  allow: (value, options) => addresses("allow", "ipAllow", value, options),
  deny: (value, options) => addresses("deny", "ipDeny", value, options),
  redirect: (value, options) => {
    const [, status = "", to = ""] = /^(\d+),(.+)$/.exec(value) ?? [];
    const read = pluginUseSchema.safeParse({ redirect: { status: Number(status), to } });
    if (!read.success)
      return new NoRoute(
        `redirect=${shown(value)} is not one of 301, 302, 303, 307, 308, a comma and a whole URL`,
      );
    options.plugins.push(pluginUse(read.data));
    return undefined;
  },
  proto: (value, options) => {
    if (isProto(value)) {
      options.proto = value;
      return undefined;
    }
    const instead = Object.hasOwn(replacements, value) ? `: ${replacements[value]}` : "";
    return new NoRoute(`proto=${shown(value)} is not routed by tags${instead}`);
  },
  auth: (value) =>
    new NoRoute(`auth=${shown(value)}: who may pass is not known here; write a host document`),
  host: (value, options) => {
    if (value === "dst") options.sentHost = "peer";
    else if (isSentHost(value)) options.sentHost = { name: value };
    else return new NoRoute(`host=${shown(value)} is not a host`);
    return undefined;
  },
  tlsskipverify: (value, options) => {
    options.isInsecure = value === "true";
    if (!/^(true|false)$/.test(value))
      options.idle.push(`tlsskipverify=${shown(value)} has no effect: it is not true or false`);
    return undefined;
  },
  pxyproto: (_value, { idle }) => {
    idle.push("pxyproto= has no effect: it is for TCP");
    return undefined;
  },
  register: (_value, { idle }) => {
    idle.push("register= has no effect: no service is registered for a route");
    return undefined;
  },
};

/** `ip:10.0.0.0/8,ip:fe80::1`. A rule that cannot be read must not leave the route open. */
function addresses(
  option: string,
  plugin: string,
  value: string,
  { plugins }: Options,
): NoRoute | undefined {
  const blocks = value.split(",").map((part) => (part.startsWith("ip:") ? part.slice(3) : ""));
  if (!blocks.every(isAddressBlock))
    return new NoRoute(`${option}=${shown(value)} is not ip:ADDRESS or ip:BLOCK, with commas`);
  plugins.push({ name: plugin, options: { addresses: blocks } });
  return undefined;
}

function isSentHost(text: string): boolean {
  return isAuthority(text) && (hostOf(text)?.startsWith("*") ?? true) === false;
}
