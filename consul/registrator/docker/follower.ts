/**
 * Stays connected to the engine's event stream: after every interruption it first finds out what it missed.
 * `containers.ts` decides what an event means.
 */
import type Logger from "bunyan";
import { Backoff } from "../../watching/backoff.ts";
import { Pause } from "../pause.ts";
import type { Containers } from "./containers.ts";
import { type Docker, type DockerEvent, describeDockerError } from "./docker.ts";

export interface FollowerSettings {
  readonly docker: Docker;
  readonly containers: Containers;
  /** All containers have been looked at; `kept` as from `Containers.list`. */
  readonly onListed: (kept: ReadonlySet<string>) => void;
  /** How often to list without being interrupted; 0: never. */
  readonly resyncSeconds: number;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  readonly random: () => number;
}

const reconnect = { baseMs: 200, maxMs: 10_000 };

/** An open event stream; `ended` gives the reason why it ended. */
interface Session {
  readonly ended: Promise<string>;
  abort(reason: string): void;
}

export class Follower {
  readonly #settings: FollowerSettings;
  readonly #pause = new Pause();
  readonly #closing = new AbortController();
  #session: Session | null = null;
  #running: Promise<void> = Promise.resolve();
  #resync: NodeJS.Timeout | null = null;
  #listing = false;

  constructor(settings: FollowerSettings) {
    this.#settings = settings;
  }

  /** Resolves when all containers have been looked at. Rejects when the first connection fails. */
  async start(): Promise<void> {
    const { docker, log, resyncSeconds } = this.#settings;
    const session = await this.#connect();
    log.info({ docker: docker.address }, `following the Docker Engine at ${docker.address}`);
    this.#running = this.#stayConnected(session);
    if (resyncSeconds > 0)
      this.#resync = setInterval(() => void this.#list(), resyncSeconds * 1000);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#resync !== null) clearInterval(this.#resync);
    this.#session?.abort("closed");
    this.#pause.wake();
    await this.#running;
  }

  async #stayConnected(first: Session): Promise<void> {
    const { docker, log, random } = this.#settings;
    const { signal } = this.#closing;
    const backoff = new Backoff(reconnect, random);
    let reason = await first.ended;
    let isFresh = true;
    while (!signal.aborted) {
      if (isFresh)
        log.warn(
          { docker: docker.address, reason },
          `events of the Docker Engine at ${docker.address} stopped (${reason}); connecting again, services stay`,
        );
      await this.#pause.wait(backoff.next());
      if (signal.aborted) return;
      try {
        const session = await this.#connect();
        log.info({ docker: docker.address }, `following ${docker.address} again`);
        backoff.reset();
        reason = await session.ended;
        isFresh = true;
      } catch (error) {
        isFresh = false;
        log.debug({ error: describeDockerError(error) }, describeDockerError(error));
      }
    }
  }

  /**
   * Opens a stream from a moment of the engine's own clock on, after asking for what was before it, and
   * looks at all containers while the stream is already read: nothing falls in between.
   */
  async #connect(): Promise<Session> {
    const { docker, containers } = this.#settings;
    const since = await docker.now();
    containers.recall(await docker.history(since), since);
    const stop = new AbortController();
    let reason = "the engine closed the connection";
    const abort = (why: string) => {
      reason = why;
      stop.abort();
    };
    const events = await docker.follow(since, AbortSignal.any([stop.signal, this.#closing.signal]));
    const session = { abort, ended: this.#consume(events, abort).then(() => reason) };
    this.#session = session;
    try {
      this.#settings.onListed(await containers.list());
    } catch (error) {
      abort(describeDockerError(error));
      await session.ended;
      throw error;
    }
    return session;
  }

  async #consume(
    events: AsyncIterable<DockerEvent>,
    abort: (reason: string) => void,
  ): Promise<void> {
    const { containers, log } = this.#settings;
    try {
      // Not awaited: a container that is told to stop must not wait for another's inspection.
      for await (const event of events)
        containers.handle(event).catch((error: unknown) => abort(describeDockerError(error)));
    } catch (error) {
      log.debug(
        { error: describeDockerError(error) },
        `event stream: ${describeDockerError(error)}`,
      );
    }
  }

  async #list(): Promise<void> {
    if (this.#listing) return;
    this.#listing = true;
    try {
      this.#settings.onListed(await this.#settings.containers.list());
    } catch (error) {
      // The stream may hang on a dead connection, so it is opened anew.
      this.#session?.abort(describeDockerError(error));
    } finally {
      this.#listing = false;
    }
  }
}
