/**
 * What Docker says about a container (Docker Engine API, "Inspect a container"), reduced to what the
 * registrator reads. Checks its form and gives it no meaning.
 */
import { z } from "zod";
import { oneLine } from "../../api/errors.ts";

export interface PublishedPort {
  /** The port inside the container. */
  readonly exposed: string;
  readonly protocol: string;
  /** The first binding on the host, IPv4 before `::`, or `null`: only exposed. */
  readonly host: { readonly ip: string; readonly port: number } | null;
}

/** What Docker's own HEALTHCHECK says. */
export interface Health {
  readonly status: "starting" | "healthy" | "unhealthy";
  /** What the last probe printed, shortened to one line. */
  readonly output: string;
}

export interface Container {
  readonly id: string;
  /** Without the slash that Docker puts first. */
  readonly name: string;
  /** As whoever started it wrote it. */
  readonly image: string;
  readonly imageId: string;
  /** Its own name for itself. */
  readonly hostname: string;
  readonly running: boolean;
  readonly paused: boolean;
  readonly exitCode: number;
  /** `null`: it has no HEALTHCHECK. */
  readonly health: Health | null;
  /** How long `docker stop` waits for it, when it says so itself. */
  readonly stopTimeoutSeconds: number | null;
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** As Docker has it: `SIGQUIT`, `3`, or empty for SIGTERM. */
  readonly stopSignal: string;
  /** `default`, `bridge`, `host`, `none`, `container:<id>` or the name of a network. */
  readonly networkMode: string;
  readonly ports: readonly PublishedPort[];
  /** Its address on each of its networks, by the network's name. */
  readonly addresses: ReadonlyMap<string, string>;
}

const binding = z.object({
  HostIp: z.string().optional(),
  HostPort: z.string().optional(),
});
const bindings = z.record(z.string(), z.array(binding).nullable());

const schema = z.object({
  Id: z.string().min(12),
  Name: z.string(),
  Image: z.string().default(""),
  State: z.object({
    Running: z.boolean(),
    Paused: z.boolean().default(false),
    ExitCode: z.number().default(0),
    Health: z
      .object({
        Status: z.string(),
        Log: z.array(z.object({ Output: z.string().default("") })).nullish(),
      })
      .nullish(),
  }),
  Config: z.object({
    Hostname: z.string().default(""),
    Image: z.string().default(""),
    Env: z.array(z.string()).nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
    ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    StopSignal: z.string().default(""),
    StopTimeout: z.number().nullish(),
  }),
  HostConfig: z.object({ NetworkMode: z.string().default("default") }),
  NetworkSettings: z.object({
    Ports: bindings.nullish(),
    IPAddress: z.string().default(""),
    Networks: z.record(z.string(), z.object({ IPAddress: z.string().default("") })).nullish(),
  }),
});

/** Reads the answer of `GET /containers/<id>/json`. Throws an Error that names the field. */
export function readContainer(answer: unknown): Container {
  const result = schema.safeParse(answer);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new Error(`Docker's answer: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { Id, Name, Image, State, Config, HostConfig, NetworkSettings } = result.data;
  const addresses = new Map(
    Object.entries(NetworkSettings.Networks ?? {})
      .map(([name, network]) => [name, network.IPAddress] as const)
      .filter(([, address]) => address !== ""),
  );
  if (NetworkSettings.IPAddress !== "" && !addresses.has("bridge"))
    addresses.set("bridge", NetworkSettings.IPAddress);
  return {
    id: Id,
    name: Name.replace(/^\//, ""),
    image: Config.Image,
    imageId: Image,
    hostname: Config.Hostname,
    running: State.Running,
    paused: State.Paused,
    exitCode: State.ExitCode,
    health: readHealth(State.Health ?? null),
    stopTimeoutSeconds: Config.StopTimeout ?? null,
    env: Config.Env ?? [],
    labels: Config.Labels ?? {},
    stopSignal: Config.StopSignal,
    networkMode: HostConfig.NetworkMode,
    ports: readPorts(Config.ExposedPorts ?? {}, NetworkSettings.Ports ?? {}),
    addresses,
  };
}

const longestOutput = 200;

function readHealth(health: z.infer<typeof schema>["State"]["Health"] | null): Health | null {
  const status = health?.Status;
  if (status !== "starting" && status !== "healthy" && status !== "unhealthy") return null;
  const output = oneLine(health?.Log?.at(-1)?.Output ?? "").slice(0, longestOutput);
  return { status, output };
}

function readPorts(
  exposed: Readonly<Record<string, unknown>>,
  published: z.infer<typeof bindings>,
): readonly PublishedPort[] {
  const names = new Set([...Object.keys(exposed), ...Object.keys(published)]);
  const ports = [...names].map((name) => {
    const [port = "", protocol = "tcp"] = name.split("/");
    const all = published[name] ?? [];
    // Docker binds IPv6 on its own, and not always on the same port.
    const chosen = all.find(({ HostIp }) => HostIp !== "::") ?? all[0];
    const hostPort = Number(chosen?.HostPort ?? "");
    const host = hostPort > 0 ? { ip: chosen?.HostIp ?? "", port: hostPort } : null;
    return { exposed: port, protocol, host };
  });
  return ports.sort(
    (a, b) => Number(a.exposed) - Number(b.exposed) || (a.protocol < b.protocol ? -1 : 1),
  );
}
