/**
 * The command line of `sluice registrator`: its own flags, and what people's compose files give
 * gliderlabs/registrator (`-internal -resync=30 consul://host:8500`).
 */
import { type Command, Option } from "commander";
import { type RegistratorFlag, registratorFlags } from "../../consul/registrator/index.ts";
import { UsageError } from "./command-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Flags of the command that are not the registrator's own. */
const places = ["consul", "docker", "log-level"];
const defaultPort = 8500;

/** Adds the registrator's flags; a variable of the environment stands in for each. */
export function addRegistratorFlags(command: Command, env: Environment): void {
  for (const { flags, description, env: variable, default: fallback } of registratorFlags) {
    const known = fallback === undefined || fallback === false ? "" : `default ${fallback}; `;
    // For a flag without a value, the library takes any value of its variable for yes.
    const value = env[variable] || fallback;
    // The library would print the default a second time, so it is left out of its help.
    const option = new Option(flags, `${description} (${known}${variable})`);
    if (value !== undefined)
      command.setOptionValueWithSource(option.attributeName(), value, "default");
    command.addOption(option);
    if (isSwitch({ flags })) command.addOption(new Option(`--no-${flags.slice(2)}`).hideHelp());
  }
}

/**
 * Flags in the spelling of Go's flag package, one dash or two, as the library wants them: `-ttl=30` is
 * `--ttl=30`, `-internal=false` is `--no-internal`. What is no flag of the registrator stays as it is.
 */
export function withGoFlags(args: readonly string[]): readonly string[] {
  const switches = new Map<string, boolean>(places.map((name) => [name, false]));
  for (const flag of registratorFlags) switches.set(nameOf(flag), isSwitch(flag));
  const result: string[] = [];
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === "--") return [...result, arg, ...queue];
    const [, name = "", value] = /^--?([A-Za-z][A-Za-z-]*)(?:=(.*))?$/s.exec(arg) ?? [];
    const isOnOff = switches.get(name);
    if (isOnOff === undefined) result.push(arg);
    else if (isOnOff) result.push(goBoolean(name, value ?? "true") ? `--${name}` : `--no-${name}`);
    else if (value !== undefined) result.push(`--${name}=${value}`);
    else result.push(`--${name}`, ...queue.splice(0, 1));
  }
  return result;
}

function nameOf({ flags }: Pick<RegistratorFlag, "flags">): string {
  return flags.split(" ", 1)[0]?.slice(2) ?? "";
}

function isSwitch({ flags }: Pick<RegistratorFlag, "flags">): boolean {
  return !flags.includes(" ");
}

/** As Go's strconv.ParseBool. */
function goBoolean(name: string, text: string): boolean {
  if (/^(1|t|T|true|True|TRUE)$/.test(text)) return true;
  if (/^(0|f|F|false|False|FALSE)$/.test(text)) return false;
  throw new UsageError(`--${name} takes true or false, not ${JSON.stringify(text)}`);
}

/**
 * The address in a registry URI of gliderlabs/registrator, as `--consul` takes it: `consul://host:port` and
 * `consul-tls://host:port`. `undefined`: it names none, so that Consul's own default holds.
 */
export function consulInRegistry(registry: string): string | undefined {
  const shown = JSON.stringify(registry.replace(/\/\/[^/@]*@/, "//"));
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+-]*):\/\/(.*)$/is.exec(registry) ?? [];
  const kind = scheme.toLowerCase();
  if (kind === "consul-unix")
    throw new UsageError(`${shown}: Unix sockets are not supported; consul://host:port is`);
  if (kind !== "consul" && kind !== "consul-tls")
    throw new UsageError(`${shown}: the registry is Consul alone, as consul://host:port`);
  const address = rest.replace(/\/$/, "");
  if (address === "") return undefined;
  const http = kind === "consul-tls" ? "https" : "http";
  if (!URL.canParse(`${http}://${address}`) || /[/?#]/.test(address))
    throw new UsageError(`${shown}: it takes consul://host:port and no path`);
  const { port } = new URL(`${http}://${address}`);
  const named = port === "" && !/:\d+$/.test(address) ? `${address}:${defaultPort}` : address;
  // Without a scheme CONSUL_HTTP_SSL decides, as in Consul's own client.
  return kind === "consul-tls" ? `https://${named}` : named;
}
