/**
 * Where Consul is and how to speak to it, from options and from the environment variables that
 * Consul's own commands read (Consul documentation, "Commands (CLI)", environment variables).
 */
import { readFileSync } from "node:fs";

export interface TlsOptions {
  /** Paths of PEM files. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate must have, when it is not the address's. */
  readonly serverName?: string;
  /** Default true. */
  readonly verify?: boolean;
}

export interface ConsulOptions {
  /** `http://host:port`, `https://host:port/path` or `host:port`. Wins over `CONSUL_HTTP_ADDR`. */
  readonly url?: string;
  /** Wins over `CONSUL_HTTP_TOKEN_FILE` and `CONSUL_HTTP_TOKEN`. */
  readonly token?: string;
  readonly tls?: TlsOptions;
  /** Win over `CONSUL_NAMESPACE` and `CONSUL_PARTITION`. */
  readonly namespace?: string;
  readonly partition?: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Everything that a connection needs, with files read. */
export interface ConsulAddress {
  /** With user and password when the address has them: not for display. */
  readonly baseUrl: URL;
  /** For messages and `/status`: never a secret. */
  readonly displayUrl: string;
  readonly token: string | null;
  /** Of Consul Enterprise, in which everything is read and written; `null`: none was named. */
  readonly scope: Scope | null;
  /** The file that the token comes from and that may change; `null`: the token never changes. */
  readonly tokenFile: string | null;
  readonly tls: {
    readonly ca?: Buffer;
    readonly cert?: Buffer;
    readonly key?: Buffer;
    readonly servername?: string;
    readonly rejectUnauthorized: boolean;
  };
}

/** The given names; left out: Consul's default. */
export interface Scope {
  readonly namespace?: string;
  readonly partition?: string;
}

/** Thrown when the options or the environment cannot be used; the message names which. */
export class ConsulOptionsError extends Error {
  override readonly name = "ConsulOptionsError";
}

const defaultAddress = "http://127.0.0.1:8500";

/**
 * Options win over the environment, and a token file over a token, as in Consul's own client.
 * Throws a `ConsulOptionsError`.
 */
export function resolveConsulAddress(options: ConsulOptions, env: Environment): ConsulAddress {
  const named = options.url ?? (env.CONSUL_HTTP_ADDR || defaultAddress);
  const source = options.url === undefined ? "CONSUL_HTTP_ADDR" : "Consul's address";
  const baseUrl = parseAddress(source, named, readFlag(env, "CONSUL_HTTP_SSL") ?? false);
  const display = new URL(baseUrl);
  display.username = "";
  display.password = "";
  return {
    baseUrl,
    displayUrl: display.href.replace(/\/$/, ""),
    token: readToken(options, env),
    tokenFile: (options.token === undefined && env.CONSUL_HTTP_TOKEN_FILE) || null,
    tls: readTls(options.tls ?? {}, env),
    scope: readScope(options, env),
  };
}

function readScope(options: ConsulOptions, env: Environment): Scope | null {
  const read = (option: string | undefined, variable: string) => {
    const name = option ?? env[variable];
    if (!name) return null;
    if (!/^[A-Za-z0-9]([A-Za-z0-9-]{0,126}[A-Za-z0-9])?$/.test(name))
      throw new ConsulOptionsError(`${variable} is ${JSON.stringify(name)}, which is no name`);
    return name;
  };
  const namespace = read(options.namespace, "CONSUL_NAMESPACE");
  const partition = read(options.partition, "CONSUL_PARTITION");
  if (namespace === null && partition === null) return null;
  return {
    ...(namespace === null ? {} : { namespace }),
    ...(partition === null ? {} : { partition }),
  };
}

function parseAddress(source: string, text: string, ssl: boolean): URL {
  const shown = JSON.stringify(text.replace(/\/\/[^/@]*@/, "//"));
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === "unix")
    throw new ConsulOptionsError(`${source} is ${shown}: Unix sockets are not supported, use TCP`);
  if (scheme !== undefined && scheme !== "http" && scheme !== "https")
    throw new ConsulOptionsError(`${source} is ${shown}: only http:// and https:// are known`);
  const withScheme = scheme === undefined ? `${ssl ? "https" : "http"}://${text}` : text;
  if (!URL.canParse(withScheme))
    throw new ConsulOptionsError(`${source} is ${shown}, which is no address (host:port or a URL)`);
  const url = new URL(withScheme);
  // As Consul's own client: TLS that was asked for is never given up because of the scheme.
  if (ssl) url.protocol = "https:";
  if (url.search !== "" || url.hash !== "")
    throw new ConsulOptionsError(`${source} is ${shown}: an address has no ? and no #`);
  // An address copied from a curl line may end in the API's own version.
  url.pathname = withoutSlashesAtEnd(url.pathname).replace(/\/v1$/, "");
  return url;
}

/** Also of many: a regular expression would start anew at each of them. */
function withoutSlashesAtEnd(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end -= 1;
  return path.slice(0, end);
}

function readToken(options: ConsulOptions, env: Environment): string | null {
  if (options.token !== undefined) return checkToken("Consul's token", options.token);
  const file = env.CONSUL_HTTP_TOKEN_FILE;
  if (file) return readTokenFile(file);
  return checkToken("CONSUL_HTTP_TOKEN", env.CONSUL_HTTP_TOKEN ?? "");
}

/** Throws a `ConsulOptionsError` when it cannot be read, or has none that can be sent. */
export function readTokenFile(file: string): string | null {
  const text = readFile("CONSUL_HTTP_TOKEN_FILE", file).toString().trim();
  if (text === "") throw new ConsulOptionsError(`CONSUL_HTTP_TOKEN_FILE: ${file} is empty`);
  return checkToken(`CONSUL_HTTP_TOKEN_FILE: ${file}`, text);
}

/** A header's value; the message must not repeat it. */
function checkToken(source: string, token: string): string | null {
  if (/[^\x21-\x7e]/.test(token))
    throw new ConsulOptionsError(`${source} has a space or a control character in it`);
  return token === "" ? null : token;
}

function readTls(options: TlsOptions, env: Environment): ConsulAddress["tls"] {
  const ca = options.ca ?? env.CONSUL_CACERT;
  const cert = options.cert ?? env.CONSUL_CLIENT_CERT;
  const key = options.key ?? env.CONSUL_CLIENT_KEY;
  const servername = options.serverName ?? env.CONSUL_TLS_SERVER_NAME;
  if (Boolean(cert) !== Boolean(key))
    throw new ConsulOptionsError("CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY need each other");
  return {
    rejectUnauthorized: options.verify ?? readFlag(env, "CONSUL_HTTP_SSL_VERIFY") ?? true,
    ...(ca ? { ca: readFile("CONSUL_CACERT", ca) } : {}),
    ...(cert ? { cert: readFile("CONSUL_CLIENT_CERT", cert) } : {}),
    ...(key ? { key: readFile("CONSUL_CLIENT_KEY", key) } : {}),
    ...(servername ? { servername } : {}),
  };
}

function readFile(source: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new ConsulOptionsError(`${source}: cannot read ${path} (${code})`, { cause: error });
  }
}

/** Go's `strconv.ParseBool`, which Consul uses. */
function readFlag(env: Environment, name: string): boolean | null {
  const text = env[name];
  if (text === undefined || text === "") return null;
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new ConsulOptionsError(`${name} is ${JSON.stringify(text)}: true or false is expected`);
}
