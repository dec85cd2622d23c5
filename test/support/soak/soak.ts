/**
 * A gateway under steady traffic and steady changes for as long as one likes, and what its processes have on their heaps
 * meanwhile. What changes goes round in a fixed set, so that a state that grows is a leak.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { consulKinds, type TestConsul } from "../consul.ts";
import { type ConsulWrites, writesTo } from "../consul-writes.ts";
import { EchoOrigin } from "../echo-origin.ts";
import { TestGateway } from "../gateway.ts";
import { eventually } from "../registered.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly changesPerSecond: number;
  /** At most: a machine that cannot send so many sends fewer. */
  readonly requestsPerSecond: number;
  /** Told of each sample. */
  readonly onSample?: (sample: Sample) => void;
}

/** Megabytes after all garbage was collected. */
export interface Memory {
  readonly process: "primary" | `worker ${number}`;
  readonly heap: number;
  readonly external: number;
  readonly resident: number;
}

export interface Sample {
  readonly minute: number;
  readonly requests: number;
  readonly changes: number;
  readonly memory: readonly Memory[];
}

export interface SoakResult {
  readonly samples: readonly Sample[];
  readonly failures: Readonly<Record<string, number>>;
}

const connections = 32;
/** Divides the number of what changes. */
const writers = 3;
const hosts = 40;
const services = 10;
const scripts = 4;
const samplesOfRun = 12;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  // The real one where there is one.
  const kind = consulKinds().at(-1);
  if (kind === undefined) throw new Error("there is always the embedded agent");
  const folder = mkdtempSync(join(tmpdir(), "sluice-soak-"));
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const consul = await kind.start();
    ends.push(() => consul.stop());
    const origins: EchoOrigin[] = [];
    for (const name of ["one", "two", "three"]) {
      const origin = await EchoOrigin.start(name);
      origins.push(origin);
      ends.push(() => origin.close());
    }
    return await new Soak(options, consul, origins, folder).run(ends);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #consul: TestConsul;
  readonly #writes: ConsulWrites;
  readonly #origins: readonly EchoOrigin[];
  readonly #folder: string;
  readonly #failures = new Map<string, number>();
  #requests = 0;
  #changes = 0;
  #isOver = false;

  constructor(
    options: SoakOptions,
    consul: TestConsul,
    origins: readonly EchoOrigin[],
    folder: string,
  ) {
    this.#options = options;
    this.#consul = consul;
    this.#writes = writesTo(consul.url);
    this.#origins = origins;
    this.#folder = folder;
  }

  async run(ends: (() => unknown)[]): Promise<SoakResult> {
    // Everything that is asked for is there before the first request.
    for (let at = 0; at < hosts + services + scripts; at += 1) await this.#change(at);
    const preload = join(import.meta.dirname, "heap-on-signal.ts");
    const gateway = await TestGateway.start({
      consul: this.#consul.url,
      flags: ["--expose", "all", "--data-dir", join(this.#folder, "data")],
      env: { NODE_OPTIONS: `--import ${preload}`, SOAK_FOLDER: this.#folder },
    });
    ends.push(() => gateway.stop());
    const startMs = performance.now();
    const changing = Array.from({ length: writers }, (_, writer) => this.#keepChanging(writer));
    const work = [...changing, ...this.#keepAsking(gateway.httpPort)];
    const samples: Sample[] = [];
    try {
      const everyMs = (this.#options.minutes * 60_000) / samplesOfRun;
      for (let count = 1; count <= samplesOfRun; count += 1) {
        await sleep(Math.max(0, startMs + count * everyMs - performance.now()));
        const sample = {
          minute: (performance.now() - startMs) / 60_000,
          ...{ requests: this.#requests, changes: this.#changes },
          memory: await this.#memory(gateway),
        };
        samples.push(sample);
        this.#options.onSample?.(sample);
      }
    } finally {
      this.#isOver = true;
      await Promise.all(work);
    }
    return { samples, failures: Object.fromEntries(this.#failures) };
  }

  /** Each process's heap, when it has collected its garbage. */
  async #memory(gateway: TestGateway): Promise<readonly Memory[]> {
    const { workers } = await gateway.status();
    const processes: readonly (readonly [Memory["process"], number])[] = [
      ["primary", gateway.pid],
      ...workers.map(({ slot, pid }) => [`worker ${slot}`, pid] as const),
    ];
    return Promise.all(
      processes.map(async ([process_, pid]) => {
        const file = join(this.#folder, String(pid));
        const lines = () => {
          try {
            return readFileSync(file, "utf8").trimEnd().split("\n");
          } catch {
            // Its first.
            return [];
          }
        };
        const before = lines().length;
        process.kill(pid, "SIGUSR2");
        const line = await eventually("it has collected its garbage", async () => {
          const now = lines();
          const last = now.at(-1);
          if (now.length <= before || last === undefined) throw new Error("it has not");
          return last;
        });
        const { heapUsed, external, rss } = JSON.parse(line) as Record<string, number>;
        const megabytes = (bytes = 0) => bytes / 1024 ** 2;
        return {
          process: process_,
          ...{ heap: megabytes(heapUsed), external: megabytes(external), resident: megabytes(rss) },
        };
      }),
    );
  }

  /** Several at once, since each waits for Consul; what one changes no other does. */
  async #keepChanging(writer: number): Promise<void> {
    const startMs = performance.now();
    for (let at = writer; !this.#isOver; at += writers) {
      try {
        await this.#change(at);
        this.#changes += 1;
      } catch (error) {
        this.#fail(`a change: ${error instanceof Error ? error.message : error}`);
      }
      const dueMs = startMs + (at * 1_000) / this.#options.changesPerSecond;
      await sleep(Math.max(0, dueMs - performance.now()));
    }
  }

  /** The next of a round through documents, instances and scripts; in the next round each is another. */
  async #change(at: number): Promise<void> {
    const all = hosts + services + scripts;
    const [round, place] = [Math.floor(at / all), at % all];
    const origin = this.#origins[(round + place) % this.#origins.length];
    if (origin === undefined) throw new Error("there are origins");
    if (place < services) {
      const name = `soak-${place}`;
      const id = (turn: number) => `${name}-${turn % this.#origins.length}`;
      await this.#writes.register({ id: id(round), name, port: origin.port });
      // Two of three are there at any time.
      if (round >= 2) await this.#writes.deregister(id(round - 2));
    } else if (place < services + hosts) {
      const name = `upstream-${place}`;
      await this.#writes.put(`upstreams/${name}`, { servers: [origin.server] });
      const paths = { "/": name, [`/${round % 5}`]: `soak-${place % services}` };
      await this.#writes.put(`hosts/${place}.soak.example`, { paths });
    } else {
      const text = `export default (request) => { request.headers.set("x-round", "${round % 7}"); };`;
      await this.#writes.put(`scripts/${services + (place % scripts)}.soak.example`, text);
    }
  }

  /** Each connection asks again when it is answered, unless that would be too often. */
  #keepAsking(port: number): readonly Promise<void>[] {
    const agent = new Agent({ keepAlive: true, maxSockets: connections });
    const everyMs = (connections * 1_000) / this.#options.requestsPerSecond;
    const done = Array.from({ length: connections }, async (_, connection) => {
      let dueMs = performance.now() + (connection / connections) * everyMs;
      for (let at = connection; !this.#isOver; at += 7) {
        const waitMs = dueMs - performance.now();
        if (waitMs > 1) await sleep(waitMs);
        // What could not be sent in time is not made up for.
        dueMs = Math.max(dueMs + everyMs, performance.now() - everyMs);
        const isService = at % 4 === 0;
        const host = isService
          ? `soak-${at % services}`
          : `${services + (at % hosts)}.soak.example`;
        await this.#ask(agent, port, host, `/${at % 5}`);
      }
    });
    void Promise.all(done).finally(() => agent.destroy());
    return done;
  }

  async #ask(agent: Agent, port: number, host: string, path: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const outgoing = request({ host: "127.0.0.1", port, path, agent, headers: { host } });
    outgoing.once("response", (answer) => {
      answer.resume();
      answer.once("close", () => {
        this.#requests += 1;
        if (answer.statusCode !== 200) this.#fail(`status ${answer.statusCode}`);
        resolve();
      });
    });
    outgoing.once("error", (error: NodeJS.ErrnoException) => {
      this.#fail(error.code ?? error.message);
      resolve();
    });
    outgoing.end();
    return promise;
  }

  #fail(why: string): void {
    this.#failures.set(why, (this.#failures.get(why) ?? 0) + 1);
  }
}

/** The least that a process had on its heap in some samples: what was under way at one moment is no leak. */
function leastHeap(samples: readonly Sample[], of: Memory["process"]): number {
  const heaps = samples.flatMap(({ memory }) =>
    memory.filter(({ process: name }) => name === of).map(({ heap }) => heap),
  );
  return Math.min(...heaps);
}

/** How a heap went on, in megabytes. */
export interface Growth {
  /** The least in the second third of the run, and in its last. */
  readonly before: number;
  readonly after: number;
  /** What it gains in an hour, by the straight line that lies nearest to both thirds. */
  readonly anHour: number;
  /** Whether that is more than a heap without a leak may differ by. */
  readonly isLeak: boolean;
}

/** A leak of 2 kB a change, or of 200 bytes a request, is more within minutes. */
const mostRatio = 1.1;
const mostMegabytes = 2;

/** How each process's heap went on from the second third of a run to its last. */
export function growth(samples: readonly Sample[]): ReadonlyMap<Memory["process"], Growth> {
  const third = Math.floor(samples.length / 3);
  const [second, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)];
  const names = new Set(samples.flatMap(({ memory }) => memory.map(({ process: name }) => name)));
  return new Map(
    Array.from(names, (name) => {
      const [before, after] = [leastHeap(second, name), leastHeap(last, name)];
      const isLeak = after >= before * mostRatio + mostMegabytes;
      return [name, { before, after, anHour: slopeOf([...second, ...last], name), isLeak }];
    }),
  );
}

/** Megabytes an hour, by least squares. */
function slopeOf(samples: readonly Sample[], of: Memory["process"]): number {
  const points = samples.flatMap(({ minute, memory }) =>
    memory
      .filter(({ process: name }) => name === of)
      .map(({ heap }) => [minute / 60, heap] as const),
  );
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [hour, heap] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const spread = mean(points.map(([x]) => (x - hour) ** 2));
  return mean(points.map(([x, y]) => (x - hour) * (y - heap))) / spread;
}
