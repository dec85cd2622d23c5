/**
 * The Docker Engine as the registrator uses it: where it is, its containers, and its events, past and
 * present. It draws no conclusion from any of them.
 */
import Dockerode from "dockerode";
import { z } from "zod";
import { oneLine } from "../../api/errors.ts";
import { type Container, readContainer } from "./inspect.ts";

/** One event of the engine (Docker Engine API, "Monitor events") that is about a container. */
export interface DockerEvent {
  /** `start`, `kill`, `die`, `health_status`, ... or `network connect`, `network disconnect`. */
  readonly action: string;
  /** On the engine's clock, in seconds since 1970. */
  readonly time: number;
  readonly containerId: string;
  readonly containerName: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Docker could not be reached; the message names the address and what to do about it. */
export class DockerUnreachableError extends Error {
  override readonly name = "DockerUnreachableError";
  /** It was reached; perhaps only this question has no answer. */
  readonly isLate: boolean;

  constructor(message: string, isLate: boolean, cause: unknown) {
    super(message, { cause });
    this.isLate = isLate;
  }
}

export type DockerConnection = Dockerode | Dockerode.DockerOptions;

const requestTimeoutMs = 10_000;
/** How far back the engine is asked for events; it keeps the last 256 itself. */
const historySeconds = 24 * 3600;

const filters = JSON.stringify({ type: ["container", "network"] });

const eventSchema = z.object({
  Type: z.string(),
  Action: z.string(),
  time: z.number(),
  Actor: z.object({
    ID: z.string(),
    Attributes: z.record(z.string(), z.string()).nullish(),
  }),
});

export class Docker {
  readonly #api: Dockerode;
  /** The address, for messages: `unix:///var/run/docker.sock`. */
  readonly address: string;

  constructor(connection: DockerConnection, address: string) {
    this.#api = connection instanceof Dockerode ? connection : new Dockerode(connection);
    this.address = address;
  }

  /** The engine's own clock, in seconds since 1970. */
  async now(): Promise<number> {
    const { SystemTime } = z.object({ SystemTime: z.string() }).parse(await this.#info());
    return Date.parse(SystemTime) / 1000;
  }

  /** The ID that tells this engine from every other, as long as its data exists; empty when it does not say. */
  async id(): Promise<string> {
    return z.object({ ID: z.string().default("") }).parse(await this.#info()).ID;
  }

  #info(): Promise<unknown> {
    // The library's types leave out the options of `info`.
    const api = this.#api as unknown as { info(options: object): Promise<unknown> };
    return this.#ask((abortSignal) => api.info({ abortSignal }));
  }

  /** IDs of running containers (paused ones too), or of all. */
  async list(all: boolean): Promise<readonly string[]> {
    const containers = await this.#ask((abortSignal) =>
      this.#api.listContainers({ all, abortSignal }),
    );
    return containers.map(({ Id }) => Id);
  }

  /** `null`: there is no such container. Rejects with another error when the answer cannot be used. */
  async inspect(id: string): Promise<Container | null> {
    const container = this.#api.getContainer(id);
    try {
      return readContainer(await this.#ask((abortSignal) => container.inspect({ abortSignal })));
    } catch (error) {
      if (isStatus(error, 404)) return null;
      throw error;
    }
  }

  /** The events of the last day up to `now`, oldest first, as far as the engine has kept them. */
  async history(now: number): Promise<readonly DockerEvent[]> {
    const events: DockerEvent[] = [];
    await this.#ask(async (abortSignal) => {
      const range = { since: now - historySeconds, until: now };
      const stream = await this.#api.getEvents({ ...range, filters, abortSignal });
      for await (const event of eventsOf(stream)) events.push(event);
    });
    return events;
  }

  /** Events from `since` on, until the connection ends or `signal` fires. */
  async follow(since: number, signal: AbortSignal): Promise<AsyncIterable<DockerEvent>> {
    const stream = await this.#ask((deadline) => {
      // The deadline is for the answer's head; the stream itself has none.
      const connecting = new AbortController();
      const abort = () => connecting.abort();
      deadline.addEventListener("abort", abort, { once: true });
      const abortSignal = AbortSignal.any([signal, connecting.signal]);
      return this.#api
        .getEvents({ since, filters, abortSignal })
        .finally(() => deadline.removeEventListener("abort", abort));
    });
    return eventsOf(stream);
  }

  async #ask<Answer>(request: (deadline: AbortSignal) => Promise<Answer>): Promise<Answer> {
    try {
      return await request(AbortSignal.timeout(requestTimeoutMs));
    } catch (error) {
      throw isStatus(error, null) ? error : this.#explained(error);
    }
  }

  #explained(error: unknown): Error {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const socket = this.address.replace(/^unix:\/\//, "");
    const elsewhere = "or name another with --docker unix:///path or DOCKER_HOST";
    const advice: Readonly<Record<string, string>> = {
      ENOENT: `there is no socket ${socket}; start the Docker Engine, ${elsewhere}`,
      ECONNREFUSED: `nobody listens there; start the Docker Engine, ${elsewhere}`,
      EACCES: `no permission for ${socket}; run as root or as a member of the socket's group`,
      ENOTSOCK: `${socket} is not a socket; name one with --docker unix:///path or DOCKER_HOST`,
    };
    const isLate = error instanceof Error && error.name === "AbortError";
    const late = `no answer within ${requestTimeoutMs / 1000} seconds`;
    const sentence = advice[code] ?? (isLate ? late : describeDockerError(error));
    return new DockerUnreachableError(`Docker at ${this.address}: ${sentence}`, isLate, error);
  }
}

/** Ends with the stream; rejects when the stream fails. */
async function* eventsOf(stream: NodeJS.ReadableStream): AsyncGenerator<DockerEvent> {
  stream.setEncoding("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const lines = String(chunk).split("\n");
    const last = lines.pop() ?? "";
    if (lines.length === 0) {
      rest += last;
      continue;
    }
    lines[0] = rest + lines[0];
    rest = last;
    for (const line of lines) {
      const event = readEvent(line);
      if (event !== null) yield event;
    }
  }
}

/** `null`: not about a container, or not an event at all. */
function readEvent(line: string): DockerEvent | null {
  const result = eventSchema.safeParse(parsed(line));
  if (!result.success) return null;
  const { Type, Action, Actor, time } = result.data;
  const attributes = Actor.Attributes ?? {};
  if (Type === "container")
    return {
      // `health_status: healthy`, `exec_start: <command>`
      action: Action.split(":", 1)[0] ?? "",
      time,
      containerId: Actor.ID,
      containerName: attributes.name ?? "",
      attributes,
    };
  const { container } = attributes;
  if (Type !== "network" || container === undefined) return null;
  return {
    action: `network ${Action}`,
    time,
    containerId: container,
    containerName: "",
    attributes,
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // A line that was cut off with the connection.
    return null;
  }
}

/** The engine answered, with that status or (`null`) with any error. */
function isStatus(error: unknown, status: number | null): boolean {
  if (!(error instanceof Error && "statusCode" in error)) return false;
  return status === null ? typeof error.statusCode === "number" : error.statusCode === status;
}

/** One line for whatever a call to Docker threw. */
export function describeDockerError(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
