/**
 * Random things that happen to containers, to the registrator, to its Consul agent and to Docker, and the
 * comparison of what Consul then has with what Docker runs. The same seed gives the same choices, of what is
 * there at that moment.
 */
import { isDeepStrictEqual } from "node:util";
import type { TestConsul } from "./consul.ts";
import type { DockerEngine, RunningContainer } from "./docker.ts";
import { type ConsulView, eventually, viewOf } from "./registered.ts";
import type { RegistratorProcess } from "./registrator.ts";

export interface ChaosOptions {
  readonly docker: DockerEngine;
  readonly consul: TestConsul;
  readonly random: () => number;
  readonly startRegistrator: () => Promise<RegistratorProcess>;
}

/** One container as it was made; everything else is asked of Docker. */
interface Subject {
  readonly container: RunningContainer;
  readonly labels: Readonly<Record<string, string>>;
}

/** A service as the catalog has it, as far as the truth knows it. */
interface Entry {
  readonly name: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly hasCheck: boolean;
}

type State = "running" | "paused" | "stopped";

const mostContainers = 7;
const stranger = { ID: "stranger", Name: "stranger", Port: 7, Tags: ["theirs"] };
/** It has an ID as the registrator makes them, and the mark of another. */
const neighbour = {
  ...{ ID: "host1:neighbour:80", Name: "neighbour", Port: 8 },
  Meta: { registrator: "host2", "registrator-container": "0123456789ab" },
};

export class Chaos {
  readonly #options: ChaosOptions;
  readonly #view: ConsulView;
  readonly #subjects = new Map<string, Subject>();
  readonly #told: string[] = [];
  #registrator: RegistratorProcess | null = null;
  #isFrozen = false;
  #agent: "up" | "frozen" | "down" = "up";
  #made = 0;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#view = viewOf(options.consul.url);
  }

  /** What has happened so far, one line each. */
  get steps(): readonly string[] {
    return this.#told;
  }

  async start(): Promise<void> {
    await this.#others();
    this.#registrator = await this.#options.startRegistrator();
  }

  async stop(): Promise<void> {
    this.#registrator?.resume();
    await this.#registrator?.stop();
    this.#options.consul.resume();
  }

  /** Does one random thing. */
  async step(): Promise<void> {
    const possible = this.#possible(await this.#states());
    const chosen = this.#pick(possible);
    this.#told.push(`${this.#told.length + 1}. ${chosen.what}`);
    await chosen.run();
  }

  /** Everything runs again that belongs to the machine; then the catalog has to become what Docker runs. */
  async rest(): Promise<void> {
    const { consul, startRegistrator } = this.#options;
    if (this.#agent === "frozen") consul.resume();
    if (this.#agent === "down") await consul.restart({ keepData: true });
    this.#agent = "up";
    this.#registrator ??= await startRegistrator();
    if (this.#isFrozen) this.#registrator.resume();
    this.#isFrozen = false;
  }

  /** What differs between the catalog and the truth, or `null`. */
  async difference(): Promise<string | null> {
    const [catalog, truth] = await Promise.all([this.#catalog(), this.#truth()]);
    if (isDeepStrictEqual(catalog, truth)) return null;
    const lines: string[] = [];
    for (const id of new Set([...Object.keys(catalog), ...Object.keys(truth)])) {
      if (isDeepStrictEqual(catalog[id], truth[id])) continue;
      const [has, wanted] = [catalog[id], truth[id]].map((entry) => JSON.stringify(entry));
      lines.push(`${id}: Consul has ${has ?? "nothing"}, Docker runs ${wanted ?? "nothing"}`);
    }
    return lines.join("\n");
  }

  #possible(states: ReadonlyMap<string, State>) {
    const { docker, consul } = this.#options;
    const having = (state: State) =>
      [...this.#subjects.values()].filter(({ container }) => states.get(container.id) === state);
    const registrator = this.#registrator;
    const things: { weight: number; what: string; run: () => Promise<unknown> }[] = [];
    const may = (weight: number, what: string, run: () => Promise<unknown>) =>
      things.push({ weight, what, run });
    const mayEach = (
      weight: number,
      what: string,
      state: State,
      run: (subject: Subject) => Promise<unknown>,
    ) => {
      const subjects = having(state);
      if (subjects.length === 0) return;
      const subject = this.#one(subjects);
      may(weight, `${what} ${subject.container.name}`, () =>
        this.#unlessEnded(subject, state, run),
      );
    };
    if (this.#subjects.size < mostContainers) may(6, "run a container", () => this.#run());
    mayEach(3, "stop", "running", ({ container }) => container.stop(1));
    mayEach(3, "kill -9", "running", ({ container }) => container.kill("SIGKILL"));
    mayEach(4, "send SIGTERM to", "running", ({ container }) => container.kill("SIGTERM"));
    mayEach(1, "send SIGHUP to", "running", ({ container }) => container.kill("SIGHUP"));
    mayEach(4, "start", "stopped", ({ container }) => container.start());
    mayEach(1, "restart", "running", ({ container }) => this.#of(container).restart({ t: 1 }));
    mayEach(3, "pause", "running", ({ container }) => this.#of(container).pause());
    mayEach(4, "unpause", "paused", ({ container }) => this.#of(container).unpause());
    mayEach(2, "rename", "running", ({ container }) => this.#rename(container));
    mayEach(1, "rename", "stopped", ({ container }) => this.#rename(container));
    for (const state of ["running", "stopped"] as const)
      mayEach(1, "remove", state, (subject) => this.#remove(subject));
    if (registrator === null) may(4, "start the registrator", () => this.rest());
    else if (this.#isFrozen) may(4, "let the registrator go on", () => this.rest());
    else {
      may(3, "kill -9 the registrator", async () => {
        await registrator.kill();
        this.#registrator = null;
      });
      may(2, "freeze the registrator", async () => {
        registrator.suspend();
        this.#isFrozen = true;
      });
    }
    if (this.#agent !== "up") may(4, "let the agent go on", () => this.rest());
    else {
      may(2, "kill -9 the agent, which loses its state", async () => {
        await consul.kill();
        await consul.restart({ keepData: false });
        await this.#others();
      });
      may(1, "kill -9 the agent", async () => {
        await consul.kill();
        this.#agent = "down";
      });
      may(1, "freeze the agent", async () => {
        consul.suspend();
        this.#agent = "frozen";
      });
      may(2, "deregister a service by hand", () => this.#meddle("deregister"));
      may(5, "change a service by hand", () => this.#meddle("change"));
    }
    may(1, "restart Docker", () => docker.restart());
    return things;
  }

  /** A container that was told to stop may end between the look and the deed. */
  async #unlessEnded(
    subject: Subject,
    state: State,
    run: (subject: Subject) => Promise<unknown>,
  ): Promise<void> {
    try {
      await run(subject);
    } catch (error) {
      // Docker hears of the end of a process a moment after whoever wanted to do something to it.
      await eventually(`it has ended, for which there was an error: ${error}`, async () => {
        const now = (await this.#states()).get(subject.container.id);
        if (now === state) throw new Error(`it is ${state}`);
      });
    }
  }

  #pick<Thing extends { readonly weight: number }>(things: readonly Thing[]): Thing {
    let at = this.#options.random() * things.reduce((sum, { weight }) => sum + weight, 0);
    for (const thing of things) {
      at -= thing.weight;
      if (at < 0) return thing;
    }
    throw new Error("nothing is possible");
  }

  #one<Thing>(things: readonly Thing[]): Thing {
    const thing = things[Math.floor(this.#options.random() * things.length)];
    if (thing === undefined) throw new Error("nothing to choose from");
    return thing;
  }

  async #run(): Promise<void> {
    const { docker, random } = this.#options;
    this.#made += 1;
    const name = `c${this.#made}`;
    const labels = {
      SERVICE_TAGS: `made-${this.#made}`,
      ...(random() < 0.5 ? { SERVICE_NAME: this.#one(["red", "blue"]) } : {}),
      ...(random() < 0.3 ? { SERVICE_ID: `own-${this.#made}` } : {}),
      ...(random() < 0.3 ? { SERVICE_CHECK_TTL: "1h" } : {}),
    };
    const ports = this.#one<readonly (number | string)[]>([[80], [80, 443], [80, "53/udp"]]);
    const onSignal = this.#one(["exit 0", ":", "sleep 0.5; exit 0"]);
    const command = ["sh", "-c", `trap "${onSignal}" TERM; while :; do sleep 999 & wait $!; done`];
    const container = await docker.run({ name, labels, ports, command });
    this.#subjects.set(container.id, { container, labels });
  }

  #of(container: RunningContainer) {
    return this.#options.docker.api.getContainer(container.id);
  }

  async #rename(container: RunningContainer): Promise<void> {
    this.#made += 1;
    await this.#of(container).rename({ name: `r${this.#made}` });
  }

  async #remove({ container }: Subject): Promise<void> {
    await container.remove();
    this.#subjects.delete(container.id);
  }

  /** What somebody does who means no good, or whose script has a defect. */
  async #meddle(how: "deregister" | "change"): Promise<void> {
    const others = [stranger.ID, neighbour.ID, "consul"];
    const services = Object.entries(await this.#view.services());
    const ours = services
      .filter(([id]) => !others.includes(id))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    if (ours.length === 0) return;
    const [id, { Service, Address, Meta, Tags }] = this.#one(ours);
    if (how === "change")
      return this.#view.register({ ID: id, Name: Service, Address, Port: 1, Meta, Tags });
    try {
      await this.#view.deregister(id);
    } catch (error) {
      // The registrator may have been faster.
      if ((await this.#view.ids()).includes(id)) throw error;
    }
  }

  /** What belongs to others, and must stay as it is. */
  async #others(): Promise<void> {
    await this.#view.register(stranger);
    await this.#view.register(neighbour);
  }

  async #states(): Promise<ReadonlyMap<string, State>> {
    const containers = await this.#options.docker.api.listContainers({ all: true });
    return new Map(
      containers.map(({ Id, State: state }) => [
        Id,
        state === "running" || state === "paused" ? state : "stopped",
      ]),
    );
  }

  async #truth(): Promise<Readonly<Record<string, Entry>>> {
    const truth: Record<string, Entry> = {
      [stranger.ID]: entry(stranger.Name, stranger.Port, stranger.Tags, false),
      [neighbour.ID]: entry(neighbour.Name, neighbour.Port, [], false),
    };
    for (const { container, labels } of this.#subjects.values()) {
      const { State, Name, NetworkSettings } = await container.inspect();
      if (!State.Running || State.Paused) continue;
      const ports = Object.entries(NetworkSettings.Ports);
      const byPort = ports.sort(([a], [b]) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
      for (const [at, [exposed, bindings]] of byPort.entries()) {
        const [port = "", protocol = "tcp"] = exposed.split("/");
        const own = [
          `host1${Name.replace("/", ":")}`,
          port,
          ...(protocol === "udp" ? ["udp"] : []),
        ];
        // An ID can stand for one port alone.
        const id = (at === 0 ? labels.SERVICE_ID : undefined) ?? own.join(":");
        const name = `${labels.SERVICE_NAME ?? "web"}${ports.length > 1 ? `-${port}` : ""}`;
        const tags = [labels.SERVICE_TAGS ?? "", ...(protocol === "udp" ? ["udp"] : [])];
        const hostPort = Number(bindings?.[0]?.HostPort);
        truth[id] = entry(name, hostPort, tags, labels.SERVICE_CHECK_TTL !== undefined);
      }
    }
    return truth;
  }

  /** What the servers say of the agent's node: what everybody else sees. */
  async #catalog(): Promise<Readonly<Record<string, Entry>>> {
    const get = async <Answer>(path: string): Promise<Answer> => {
      const answer = await fetch(`${this.#options.consul.url}/v1${path}`);
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      return (await answer.json()) as Answer;
    };
    const { Config } = await get<{ Config: { NodeName: string } }>("/agent/self");
    const [node, checks] = await Promise.all([
      get<{ Services: Record<string, { Service: string; Port: number; Tags: string[] | null }> }>(
        `/catalog/node/${Config.NodeName}`,
      ),
      get<readonly { ServiceID: string }[]>(`/health/node/${Config.NodeName}`),
    ]);
    const checked = new Set(checks.map(({ ServiceID }) => ServiceID));
    return Object.fromEntries(
      Object.entries(node.Services)
        .filter(([id]) => id !== "consul")
        .map(([id, { Service, Port, Tags }]) => [
          id,
          entry(Service, Port, Tags ?? [], checked.has(id)),
        ]),
    );
  }
}

function entry(name: string, port: number, tags: readonly string[], hasCheck: boolean): Entry {
  return { name, port, tags: [...tags].sort(), hasCheck };
}
