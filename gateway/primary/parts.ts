/** What the primary is given by whoever starts it: the rooms behind it, as it sees them. */

import type { Health, HeldLock, SelfService, ServiceEntry } from "../../consul/index.ts";
import type { Observed, Tables } from "../model/index.ts";
import type { Kv } from "../releases/index.ts";
import type { ExamineScript, ReplayScript } from "../sandbox/index.ts";
import type { SourcesStatus } from "./status.ts";

/** Where changes come from. */
export interface Sources {
  start(): void;
  stop(): void | Promise<void>;
  /** Resolves when everything that Consul has at the start was emitted. */
  whenReady(): Promise<void>;
  /** A request asks for this `serviceKey`: watch it. */
  use(service: string): void;
  /** Requests went to these upstreams lately; `null`: to others as well, whose names are not known. */
  sawRequests(upstreams: Iterable<string | null>): void;
  /** Lets go of what is held although Consul no longer has it; returns how many entries. */
  release(): number;
  status(): SourcesStatus;
  /** What tags of services and settings ask for without effect. */
  warnings(): Iterable<{ readonly key: string; readonly warning: string }>;
  /** What the sources want to know again in the next process, beside the served state: JSON. */
  memory(): unknown;
}

/** The rooms that the primary uses, passed in by whoever starts it. */
export interface PrimaryParts {
  /** The module that a worker process runs. */
  readonly workerEntry: string;
  readonly examine: ExamineScript;
  readonly replay: ReplayScript;
  readonly createSources: (options: {
    readonly emit: (changes: readonly Observed[]) => void;
    /** The state that is served already, out of a snapshot. */
    readonly previous: Tables | null;
    /** What the sources of the previous process wanted to know again. */
    readonly memory: unknown;
    /** That has changed. */
    readonly onMemory: () => void;
  }) => Sources;
  readonly consul: {
    /** For display: without user and password. */
    readonly url: string;
    /** Resolves to `null` when a Consul answers, in whatever way, else to the reason in a few words. */
    readonly reach: () => Promise<string | null>;
    readonly kv: Kv;
    /** A lock at this key that one process of the cluster holds. */
    readonly lock: (key: string, value: string) => { acquire(): Promise<HeldLock | null> };
    /** Keeps a key there for as long as this gateway runs. */
    readonly present: (
      key: string,
      value: string,
    ) => { start(): void; update(value: string): void; stop(): Promise<void> };
    /** Registers a service that is there for as long as something is reported. */
    readonly register: (service: SelfService) => {
      report(health: Health): Promise<void>;
      stop(): Promise<void>;
    };
    /** Everything that is registered as this service. */
    readonly registered: (service: string) => Promise<readonly ServiceEntry[]>;
    /** Closes the connections to it. */
    readonly close: () => void;
  };
}
