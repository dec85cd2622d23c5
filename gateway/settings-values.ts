/**
 * How single values of settings are written: durations, sizes, addresses, lists. Each is a zod schema
 * that takes what a flag, a variable or a JSON file may hold and says in a few words what is wrong.
 */
import { isIP } from "node:net";
import { z } from "zod";
import { isAddressBlock } from "./engine/message/address-blocks.ts";
import { entryName } from "./model/index.ts";

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const unitsBytes: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** Longer than this, a timer of Node's would fire at once (its limit is 2^31 - 1 ms). */
const maxDurationMs = 24 * 3_600_000;

const written = z.union([z.string(), z.number()], { error: "is neither a text nor a number" });

/** A schema whose `read` returns the value, or a text that says what is wrong with it. */
function value<T>(read: (text: string) => T | Wrong): z.ZodType<T, string | number> {
  return written.transform((raw, context) => {
    const result = read(String(raw).trim());
    if (!(result instanceof Wrong)) return result;
    const shown = result.isSecret ? "the value" : `"${raw}"`;
    context.addIssue({ code: "custom", message: `${shown} ${result.text}` });
    return z.NEVER;
  });
}

class Wrong {
  readonly text: string;
  /** The value must not be repeated in a message. */
  readonly isSecret: boolean;
  constructor(text: string, isSecret = false) {
    this.text = text;
    this.isSecret = isSecret;
  }
}

/** `500ms`, `10s`, `1m`, `1h`, up to 24 hours; gives milliseconds. */
export function duration(minMs = 1): z.ZodType<number, string | number> {
  return value((text) => {
    if (text === "0" && minMs === 0) return 0;
    const match = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)$/.exec(text);
    if (!match) return new Wrong("is not a duration such as 500ms, 10s or 1m");
    const ms = Math.round(Number(match[1]) * (unitsMs[match[2] ?? ""] ?? 1));
    if (ms < minMs) return new Wrong(`is shorter than ${minMs}ms`);
    return ms > maxDurationMs ? new Wrong("is longer than 24h") : ms;
  });
}

/** `32768`, `32k`, `1m`, `1g` as nginx writes sizes; gives bytes. */
export function bytes(min: number): z.ZodType<number, string | number> {
  return value((text) => {
    const match = /^([0-9]{1,15})([kmg]?)$/i.exec(text);
    if (!match) return new Wrong("is not a size in bytes such as 32768, 32k or 1m");
    const size = Number(match[1]) * (unitsBytes[(match[2] ?? "").toLowerCase()] ?? 1);
    if (!Number.isSafeInteger(size)) return new Wrong("is too large");
    return size < min ? new Wrong(`is less than ${min}`) : size;
  });
}

export function integer(min: number, max: number): z.ZodType<number, string | number> {
  return value((text) => {
    const number = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
    const fits = number >= min && number <= max;
    return fits ? number : new Wrong(`is not a whole number from ${min} to ${max}`);
  });
}

export interface Address {
  /** An IP address, or a name that the resolver knows; IPv6 without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` for every address. */
export function address(): z.ZodType<Address, string | number> {
  return value((text) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]*)):([0-9]{1,5})$/.exec(text);
    if (!match) return new Wrong("is not ADDRESS:PORT, for example 127.0.0.1:8080 or [::1]:8080");
    const port = Number(match[3]);
    if (port > 65_535) return new Wrong("has a port above 65535");
    const host = match[1] ?? (match[2] || "0.0.0.0");
    const isName = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(host);
    if (match[1] !== undefined ? isIP(host) !== 6 : !isName || isMistypedIPv4(host)) {
      return new Wrong("has no valid address before the port");
    }
    return { host, port };
  });
}

/** A port or an address, `=`, and the name of an upstream. */
export interface TcpRoute {
  readonly address: Address;
  readonly upstream: string;
}

/** `5432=postgres, 127.0.0.1:6379=redis`; a port alone is one on every address. */
export function tcpRoutes(): z.ZodType<readonly TcpRoute[], string | number | readonly string[]> {
  const where = address();
  return entries().transform((all, context) =>
    all.map((entry) => {
      const sign = entry.lastIndexOf("=");
      const place = entry.slice(0, Math.max(0, sign));
      const upstream = entry.slice(sign + 1);
      const read = where.safeParse(/^[0-9]+$/.test(place) ? `:${place}` : place);
      if (read.success && entryName.test(upstream)) return { address: read.data, upstream };
      const message = `"${entry}" is not PORT=UPSTREAM or ADDRESS:PORT=UPSTREAM`;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }),
  );
}

/** Digits and dots alone are meant as an IPv4 address, never as a name. */
function isMistypedIPv4(host: string): boolean {
  return /^[0-9.]+$/.test(host) && isIP(host) !== 4;
}

/** `127.0.0.1:8080`, an IPv6 address in brackets. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Where Consul's HTTP API is: a URL, or `HOST:PORT` as Consul's own commands take it. Gives it as
 * written; what it means together with Consul's variables is the Consul room's to say.
 */
export function consulAddress(): z.ZodType<string, string | number> {
  return value((text) => {
    // It may carry a password, so that no message repeats it.
    const wrong = new Wrong("is not a URL such as http://127.0.0.1:8500", true);
    if (/^unix:/i.test(text))
      return new Wrong(
        "is a Unix socket, and Consul is asked over TCP alone: http://HOST:PORT",
        true,
      );
    const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
    if (!URL.canParse(full)) return wrong;
    return /^https?:$/.test(new URL(full).protocol) ? text : wrong;
  });
}

/** The prefix of all keys; gives it with one slash at the end. */
export function keyPrefix(): z.ZodType<string, string | number> {
  return value((text) => {
    const [, prefix] = /^([^\s/?#]+(?:\/[^\s/?#]+)*)\/*$/.exec(text) ?? [];
    return prefix === undefined ? new Wrong("is not a key prefix such as sluice/") : `${prefix}/`;
  });
}

/** Both ends included. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** `5432, 6000-6999`, or a JSON list. */
export function portRanges(): z.ZodType<readonly PortRange[], string | number | readonly string[]> {
  return entries().transform((all, context) =>
    all.map((entry) => {
      const [, from = "", to = from] = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(entry) ?? [];
      const range = { from: Number(from), to: Number(to) };
      if (range.from >= 1 && range.from <= range.to && range.to <= 65_535) return range;
      const message = `"${entry}" is neither a port nor a range such as 5000-5999`;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }),
  );
}

export function includesPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ from, to }) => port >= from && port <= to);
}

export function text(): z.ZodType<string, string | number> {
  return value((written) => (written === "" ? new Wrong("is empty") : written));
}

export function oneOf<const T extends string>(
  ...accepted: readonly T[]
): z.ZodType<T, string | number> {
  return value(
    (text) =>
      accepted.find((name) => name === text) ?? new Wrong(`is not one of: ${accepted.join(", ")}`),
  );
}

/** `on` or `off`, or what a flag without a value and a JSON file say for them. */
export function onOff(): z.ZodType<"on" | "off"> {
  return z.preprocess(
    (raw) => (typeof raw === "boolean" ? (raw ? "on" : "off") : raw),
    oneOf("on", "off"),
  );
}

/** Addresses and CIDR blocks, separated by commas (or a JSON list); gives them as written. */
export function networks(): z.ZodType<readonly string[], string | number | readonly string[]> {
  return list(isAddressBlock, "is neither an address nor a block such as 10.0.0.0/8");
}

/** Names of hosts, addresses and CIDR blocks, in the same way. */
export function hosts(): z.ZodType<readonly string[], string | number | readonly string[]> {
  const isHost = (entry: string) =>
    isAddressBlock(entry) ||
    (/^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$/i.test(entry) && !isMistypedIPv4(entry));
  return list(isHost, "is neither a name, an address nor a block such as 10.0.0.0/8");
}

function list(
  fits: (entry: string) => boolean,
  problem: string,
): z.ZodType<readonly string[], string | number | readonly string[]> {
  return entries().transform((found, context) => {
    const bad = found.find((entry) => !fits(entry));
    if (bad === undefined) return found;
    context.addIssue({ code: "custom", message: `"${bad}" ${problem}` });
    return z.NEVER;
  });
}

/** Paths, separated by commas or a JSON list. */
export function paths(): z.ZodType<readonly string[], string | number | readonly string[]> {
  return entries();
}

/** Separated by commas, or a JSON list. */
function entries(): z.ZodType<readonly string[], string | number | readonly string[]> {
  return z
    .union([written, z.array(z.string())], { error: "is not a list" })
    .transform((raw) =>
      (Array.isArray(raw) ? raw : String(raw).split(","))
        .map((entry: string) => entry.trim())
        .filter((entry) => entry !== ""),
    );
}

/** A name that Consul's DNS can have; `off` is `null`. */
export function serviceName(): z.ZodType<string | null, string | number> {
  return value((text) => {
    if (text === "off") return null;
    if (text === "consul") return new Wrong("is Consul's own service");
    const fits = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(text);
    return fits ? text : new Wrong("is not a service's name, such as sluice, and not off");
  });
}
