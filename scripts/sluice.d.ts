/**
 * What a Sluice rewrite script is written against: the globals of its sandbox and the shapes of what
 * it exports. `scripts/tsconfig.json` brings them to an editor; docs/scripts.md explains them.
 */

/** `export const match`: looked at before the sandbox is entered, so what does not match costs nothing. */
interface SluiceMatch {
  /** Upper case. Default: every method. */
  readonly methods?: readonly string[];
  /**
   * Prefixes of whole segments of `request.path`: `/api` takes `/api` and `/api/x`, not `/apix`. A host with
   * this refuses paths with `%2F`, `%5C` or a backslash. Default: every path.
   */
  readonly paths?: readonly string[];
}

/**
 * Header fields, as the Fetch standard's `Headers`. Names are compared without regard to case, values
 * are latin1. At most 100 may be changed, 8 KiB each, 32 KiB together.
 *
 * `set`, `append` and `delete` throw for what the gateway vouches for: `Host` (use `request.host`),
 * `Content-Length`, `Transfer-Encoding`, `Connection` and the other hop-by-hop headers, `Expect`,
 * `Trailer`, `Via`, `Forwarded`, `X-Forwarded-*` and `X-Request-Id`. They can be read,
 * and `Forwarded` and `X-Forwarded-*` may be deleted: then the origin is not told.
 */
interface SluiceHeaders {
  /** All values of the name, joined by a comma (`Cookie` by a semicolon); `null` when there is none. */
  get(name: string): string | null;
  has(name: string): boolean;
  /** Replaces every value. */
  set(name: string, value: string | number): void;
  /** Adds to what is there: joined to it, but a line of its own for the `Set-Cookie` of an answer. */
  append(name: string, value: string | number): void;
  delete(name: string): void;
  /** Sorted, in lower case. */
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[name: string, value: string]>;
  forEach(visit: (value: string, name: string, headers: SluiceHeaders) => void): void;
  [Symbol.iterator](): IterableIterator<[name: string, value: string]>;
}

interface SluiceRequest {
  readonly method: string;
  /** Behind a trusted proxy: the one that the client asked it with. */
  readonly scheme: "http" | "https";
  /** The address of the client's socket or, behind a trusted proxy, of the client that the proxy names. */
  readonly clientIp: string;
  /** The id under which the request shows in the gateway's records; sent on as `X-Request-Id`. */
  readonly id: string;
  readonly headers: SluiceHeaders;
  /**
   * Lower case, without port. Set it, with a port if need be, to forward and route by another, whose own script runs
   * as well. Where there are tenants it has to be the script's tenant's, or shared.
   */
  host: string;
  /**
   * From the first `/` to the `?`, in normal form, so that one place has one spelling: `%61` is `a`, other
   * escapes are in upper case, `//` is `/`, dot segments are resolved. What is set is brought into it too.
   */
  path: string;
  /** The path as the client wrote it. */
  readonly rawPath: string;
  /** What follows the `?`, without it; empty when there is none. */
  query: string;
  /** Set it to send the request to this upstream or service instead of the routed one. */
  upstream: string;
  /** Set it to have the same peer for the same text, as long as it is up; at most 256 characters. */
  hashKey: string;
}

interface SluiceResponse {
  readonly status: number;
  readonly headers: SluiceHeaders;
}

/** What `deny`, `respond` and `redirect` make. Return it. */
interface SluiceVerdict {
  readonly __verdict: never;
}

interface SluiceAnswer {
  /** 200 to 599. Default 200. */
  readonly status?: number;
  /** A list makes a line for each value. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as UTF-8; at most 1 MiB. Default: empty. */
  readonly body?: string;
}

/** The default export. Returns nothing to let the request go on. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function without any return is one
type SluiceRule = (request: SluiceRequest) => SluiceVerdict | null | undefined | void;
/** `export function onResponse`: may change the answer's headers. `request` cannot be changed any more. */
type SluiceResponseRule = (response: SluiceResponse, request: Readonly<SluiceRequest>) => void;

/** A header's value; `null`: it is not there. Names in any case. */
type SluiceExpectedHeaders = Readonly<Record<string, string | null>>;

/** A number stands for a status. What is left out is not looked at. */
type SluiceExpectedAnswer =
  | number
  | true
  | {
      readonly status?: number;
      readonly body?: string;
      readonly headers?: SluiceExpectedHeaders;
    };

/**
 * One case of `export const tests`: run before a version goes live anywhere; a version that fails one is
 * refused.
 */
interface SluiceTest {
  /** Shown when the case fails. */
  readonly name?: string;
  readonly request?: {
    /** Default `GET`. */
    readonly method?: string;
    /** Default `http`. */
    readonly scheme?: "http" | "https";
    /** Default: the host that the script is for; `any.<domain>` for a wildcard. */
    readonly host?: string;
    /** As a client writes it; may have a query. Default `/`. */
    readonly path?: string;
    readonly query?: string;
    readonly headers?: Readonly<Record<string, string>>;
    /** Default `192.0.2.1`. */
    readonly clientIp?: string;
  };
  /** Laid over the settings in KV. */
  readonly settings?: Readonly<Record<string, SluiceJson>>;
  readonly expect?:
    | {
        /** The request goes on, with these fields. */
        readonly pass: true;
        readonly path?: string;
        readonly query?: string;
        readonly host?: string;
        readonly upstream?: string;
        readonly hashKey?: string;
        readonly headers?: SluiceExpectedHeaders;
      }
    | { readonly deny: SluiceExpectedAnswer }
    | { readonly respond: SluiceExpectedAnswer }
    | { readonly redirect: string | { readonly location: string; readonly status?: number } };
  /** What the origin answers, for `onResponse`. */
  readonly response?: {
    readonly status?: number;
    readonly headers?: Readonly<Record<string, string>>;
  };
  /** What the client must get of that answer's headers. */
  readonly expectResponse?: SluiceExpectedHeaders;
}
type SluiceTests = readonly SluiceTest[];

/** `export const onError`: a request whose script failed is answered with 500, or goes on as it came. */
type SluiceOnError = "deny" | "skip";

/** `export const rollout`: a new version begins with a share of the requests. */
interface SluiceRollout {
  /** Of the requests, at the start: above 0, at most 100. */
  readonly percent: number;
  /** How long each step lasts: `30s`, `10m`, `1h`. The share grows evenly; after the last step it is 100. */
  readonly steps: readonly string[];
  /** The header whose value says who gets the new version. Default: the client's address. */
  readonly by?: string;
}

/** `export const takeBack`: a version that passes all of these is taken back to the one before; `false`: never. */
type SluiceTakeBack =
  | false
  | {
      /** Default 5. */
      readonly errors?: number;
      /** More than this part of the calls. Default 1. */
      readonly percent?: number;
      /** The window, at most 600. Default 10. */
      readonly seconds?: number;
      /** From so many clients, at most 16, or all that there are. Default 3. */
      readonly clients?: number;
      /** For how long after it has all requests: `"30m"`, `"2d"`. Default `"1h"`. */
      readonly probation?: string;
      /** Also to a version that lets pass what this one fails on. Default false. */
      readonly open?: boolean;
    };

/** `export const schedule`: live from each moment that `from` names to the next that `to` names. */
interface SluiceSchedule {
  /** Cron expressions of five fields: minute, hour, day of the month, month, day of the week. */
  readonly from: string;
  readonly to: string;
  /** IANA name. Default UTC. */
  readonly timezone?: string;
}

/** Ends the request with an error as plain text; `status` is 400 to 599. */
declare function deny(status: number, body?: string): SluiceVerdict;
/** Ends the request with an answer. */
declare function respond(answer: SluiceAnswer): SluiceVerdict;
/** Ends the request with a `Location`; `status` is 300 to 399, by default 302. */
declare function redirect(location: string, status?: number): SluiceVerdict;

/** The values under `settings/` in Consul KV, frozen; always of now, so read them inside a function. */
declare const settings: Readonly<Record<string, SluiceJson>>;
type SluiceJson =
  | string
  | number
  | boolean
  | null
  | readonly SluiceJson[]
  | { readonly [key: string]: SluiceJson };

/** Goes to the gateway's log with the host and the script's version; at most 20 lines a call. */
declare const log: {
  debug(...values: readonly unknown[]): void;
  info(...values: readonly unknown[]): void;
  warn(...values: readonly unknown[]): void;
  error(...values: readonly unknown[]): void;
};

type SluiceEncoding = "hex" | "base64" | "base64url";

/** Digests of a string's UTF-8; hexadecimal unless told. */
declare const crypto: {
  md5(text: string, encoding?: SluiceEncoding): string;
  sha256(text: string, encoding?: SluiceEncoding): string;
  hmac(
    algorithm: "sha256" | "sha1" | "md5",
    key: string,
    text: string,
    encoding?: SluiceEncoding,
  ): string;
  /** Of the text's UTF-8. */
  base64Encode(text: string): string;
  /** Takes base64url too, with or without padding. Throws a `TypeError` when it is neither. */
  base64Decode(text: string): string;
};

/** Modules are KV keys under `modules/`. */
declare module "modules/*";
