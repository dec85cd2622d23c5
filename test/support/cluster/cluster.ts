/**
 * A real cluster: three Consul servers, one client agent, two gateways whose clocks are an hour apart, and a registrator with a
 * Docker engine. A document leads to origins of the test's own, a service to containers. Traffic runs all the time.
 */
import { findRealConsul } from "../consul.ts";
import { writesTo } from "../consul-writes.ts";
import { type DockerEngine, findDocker, type RunningContainer, startDocker } from "../docker.ts";
import { EchoOrigin } from "../echo-origin.ts";
import { type RegistratorProcess, startRegistratorProcess } from "../registrator.ts";
import { type LoadResult, SteadyLoad } from "../steady-load.ts";
import { ConsulMember, GatewayMember, waitFor } from "./members.ts";
import { type Machine, Network, whyNoNetwork } from "./network.ts";

/** How long the truth took after a fault was over, in milliseconds. */
export interface Convergence {
  readonly fault: string;
  /** From the end of the fault until Consul itself answers with the truth. */
  readonly consulMs: number;
  /** From then until every worker of both gateways has it. */
  readonly gatewaysMs: number;
}

export interface ClusterOptions {
  /** Requests a second to each gateway. */
  readonly perSecond: number;
}

/** Why there can be none here; `null`: there can. Throws when SLUICE_REQUIRE_REAL=1 and there cannot. */
export function whyNoCluster(): string | null {
  const reason =
    whyNoNetwork() ??
    (findRealConsul() === null ? "there is no real Consul" : null) ??
    (findDocker() === null ? "there is no Docker Engine" : null);
  if (reason !== null && process.env.SLUICE_REQUIRE_REAL === "1")
    throw new Error(`no cluster for tests: ${reason}`);
  return reason;
}

export class Cluster {
  readonly servers: ConsulMember[] = [];
  readonly gateways: GatewayMember[] = [];
  readonly results: Convergence[] = [];
  readonly #options: ClusterOptions;
  readonly #loads: { readonly name: string; readonly load: SteadyLoad }[] = [];
  readonly #origins: EchoOrigin[] = [];
  readonly #containers: RunningContainer[] = [];
  #network: Network | null = null;
  #agent: ConsulMember | null = null;
  #docker: DockerEngine | null = null;
  #registrator: RegistratorProcess | null = null;
  /** Which of the origins the document names. */
  #chosen = 0;

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  static async open(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      await cluster.#open();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Ends the traffic; gives what came of it. */
  async endTraffic(): Promise<ReadonlyMap<string, LoadResult>> {
    const results = new Map<string, LoadResult>();
    for (const { name, load } of this.#loads.splice(0)) results.set(name, await load.stop());
    return results;
  }

  async close(): Promise<void> {
    await this.endTraffic();
    await this.#registrator?.stop();
    await Promise.all(this.gateways.map((gateway) => gateway.end("SIGTERM")));
    await Promise.all(this.#members().map((member) => member.remove()));
    await Promise.all(this.#origins.map((origin) => origin.close()));
    await this.#docker?.stop();
    this.#network?.close();
  }

  /** The leader is killed; the truth changes once there is another. */
  async killLeader(): Promise<void> {
    const leader = await this.#leader();
    await leader.end("SIGKILL");
    await this.#elected(leader.machine.address);
    await this.#converges("the leader killed", performance.now(), () => this.#moveOn());
    leader.start();
    await this.#whole();
  }

  /** Two of three servers are killed, and for so long nothing can be written; a container ends meanwhile. */
  async killMajority(forMs: number): Promise<void> {
    const leader = await this.#leader();
    const other = this.servers.find((server) => server !== leader);
    if (other === undefined) throw new Error("three servers");
    await Promise.all([leader.end("SIGKILL"), other.end("SIGKILL")]);
    const deadMs = performance.now();
    await this.#replaceContainer();
    await waitFor(
      "the time without a majority is over",
      async () => performance.now() - deadMs > forMs,
    );
    leader.start();
    other.start();
    await this.#elected(null);
    await this.#converges("a majority killed and back", performance.now(), () => this.#moveOn());
  }

  /** One gateway hears nothing from Consul, while the truth changes. */
  async cutGateway(forMs: number): Promise<void> {
    const [cut, other] = this.gateways;
    if (cut === undefined || other === undefined) throw new Error("two gateways");
    await cut.machine.cut(this.#asked.machine.address);
    const cutMs = performance.now();
    await this.#moveOn();
    await this.#replaceContainer();
    await waitFor("the other gateway has the truth", () => this.#hasTruth(other));
    await waitFor("the cut is over", async () => performance.now() - cutMs > forMs);
    await cut.machine.heal();
    await this.#converges("a gateway cut off from Consul", performance.now(), async () => {});
  }

  /** Every member of Consul is killed and comes back without its data; operators and agents then write what they know. */
  async wipe(): Promise<void> {
    const members = this.#members();
    await Promise.all(members.map((member) => member.end("SIGKILL")));
    for (const member of members) {
      member.forget();
      member.start();
    }
    await this.#elected(null);
    await waitFor("both gateways hold what Consul has lost", async () => {
      for (const gateway of this.gateways) {
        const { held, consul } = await gateway.status();
        if (consul.stale !== null || held.length === 0) return false;
      }
      return true;
    });
    await this.#converges("Consul's data wiped", performance.now(), async () => {
      await this.#writeDocuments();
      await this.#moveOn();
    });
  }

  async #open(): Promise<void> {
    const binary = findRealConsul();
    if (binary === null) throw new Error("there is no real Consul");
    const network = await Network.open();
    this.#network = network;
    const machines: Machine[] = [];
    for (const name of ["s1", "s2", "s3", "a1", "g1", "g2"]) machines.push(await network.add(name));
    const consuls = machines.slice(0, 4);
    const servers = machines.slice(0, 3).map(({ address }) => address);
    for (const [at, machine] of consuls.entries()) {
      const name = `node-${at + 1}`;
      const member = await ConsulMember.on(machine, { binary, name, servers });
      if (at < 3) this.servers.push(member);
      else this.#agent = member;
      member.start();
    }
    this.#docker = await startDocker();
    await this.#elected(null);
    for (const name of ["one", "two"]) {
      this.#origins.push(await EchoOrigin.start(name, 0, network.address));
    }
    await this.#writeDocuments();
    const { url } = this.#asked;
    this.#registrator = await startRegistratorProcess([
      ...["--docker", this.#docker.host, "--consul", url, "--ip", network.address],
      ...["--hostname", "docker-1", "--resync", "5"],
    ]);
    for (const _ of [1, 2]) this.#containers.push(await this.#docker.run());
    for (const [at, machine] of machines.slice(4).entries()) {
      const gateway = GatewayMember.on(machine, { consul: url, isAhead: at === 1 });
      this.gateways.push(gateway);
      gateway.start();
    }
    for (const gateway of this.gateways) {
      await waitFor(
        "the gateway is ready",
        () => gateway.isReady(),
        () => gateway.output,
      );
      // From then on the service is in use.
      await waitFor("it serves the containers", async () => (await gateway.ask("web")).length > 0);
    }
    await waitFor(
      "the gateways have the truth",
      () => this.#allHaveTruth(),
      () => this.#describe(),
    );
    this.#startTraffic();
  }

  #startTraffic(): void {
    const { perSecond } = this.#options;
    for (const [at, { machine, port }] of this.gateways.entries()) {
      const start = (name: string, host: string, kept: number, share: number) => {
        const { address } = machine;
        const load = new SteadyLoad({ address, port, host, kept, perSecond: perSecond * share });
        this.#loads.push({ name: `gateway ${at + 1}, ${name}`, load });
      };
      start("document, kept connections", "home.example", 8, 0.6);
      start("document, new connections", "home.example", 0, 0.2);
      start("service, kept connections", "web", 4, 0.2);
    }
  }

  get #asked(): ConsulMember {
    if (this.#agent === null) throw new Error("there is no agent yet");
    return this.#agent;
  }

  #members(): readonly ConsulMember[] {
    return this.#agent === null ? this.servers : [...this.servers, this.#agent];
  }

  async #leader(): Promise<ConsulMember> {
    let leader: ConsulMember | undefined;
    await waitFor("a server is the leader", async () => {
      const address = await this.#asked.leader();
      leader = this.servers.find(({ machine }) => machine.address === address);
      return leader !== undefined;
    });
    if (leader === undefined) throw new Error("there is no leader");
    return leader;
  }

  /** There is a leader, another than `not`, and a write through the agent succeeds. */
  async #elected(not: string | null): Promise<void> {
    await waitFor(
      "Consul has a leader and takes a write",
      async () => {
        const leader = await this.#asked.leader();
        if (leader === null || leader === not) return false;
        await writesTo(this.#asked.url).put("settings/elected", { leader });
        return true;
      },
      () =>
        this.#members()
          .map(({ output }) => output)
          .join("\n"),
    );
  }

  /** Every server votes again, so that the next one may go. */
  async #whole(): Promise<void> {
    await waitFor("all servers are back", async () => {
      const leaders = await Promise.all(this.servers.map((server) => server.leader()));
      if (leaders.includes(null)) return false;
      const answer = await fetch(`${this.#asked.url}/v1/operator/raft/configuration`);
      const { Servers } = (await answer.json()) as { Servers: readonly { Voter: boolean }[] };
      const health = await fetch(`${this.#asked.url}/v1/operator/autopilot/health`);
      const { Healthy } = (await health.json()) as { Healthy: boolean };
      return Healthy && Servers.filter(({ Voter }) => Voter).length === 3;
    });
  }

  async #writeDocuments(): Promise<void> {
    const writes = writesTo(this.#asked.url);
    await writes.put("hosts/home.example", { paths: { "/": "home" } });
    await this.#writeUpstream();
  }

  async #writeUpstream(): Promise<void> {
    const origin = this.#origins[this.#chosen % this.#origins.length];
    const host = this.#network?.address ?? "";
    const servers = [{ host, port: origin?.port ?? 0 }];
    await writesTo(this.#asked.url).put("upstreams/home", { servers });
  }

  /** The document names the other origin from now on. */
  async #moveOn(): Promise<void> {
    this.#chosen += 1;
    await this.#writeUpstream();
  }

  /** One container starts, and then the one that ran longest ends, gently. */
  async #replaceContainer(): Promise<void> {
    if (this.#docker === null) throw new Error("there is no engine");
    this.#containers.push(await this.#docker.run());
    await this.#containers.shift()?.remove();
  }

  /** Addresses of the containers that run. */
  async #running(): Promise<readonly string[]> {
    const ports = await Promise.all(this.#containers.map((container) => container.port(80)));
    return ports.map((port) => `${this.#network?.address}:${port}`).sort();
  }

  async #hasTruth(gateway: GatewayMember): Promise<boolean> {
    const { version, workers } = await gateway.status();
    if (workers.some((worker) => worker.version !== version)) return false;
    const chosen = this.#origins[this.#chosen % this.#origins.length];
    const home = [`${this.#network?.address}:${chosen?.port}`];
    const [served, web] = await Promise.all([gateway.peers("home"), gateway.peers("web")]);
    return served.join() === home.join() && web.join() === (await this.#running()).join();
  }

  async #allHaveTruth(): Promise<boolean> {
    const answers = await Promise.all(this.gateways.map((gateway) => this.#hasTruth(gateway)));
    return answers.every((has) => has);
  }

  /** The catalog that the agent shows is that of the containers that run. */
  async #consulHasTruth(): Promise<boolean> {
    const answer = await fetch(`${this.#asked.url}/v1/health/service/web?passing&consistent`);
    const entries = (await answer.json()) as readonly {
      readonly Service: { readonly Address: string; readonly Port: number };
    }[];
    const shown = entries.map(({ Service }) => `${Service.Address}:${Service.Port}`).sort();
    return shown.join() === (await this.#running()).join();
  }

  async #converges(fault: string, healedMs: number, write: () => Promise<void>): Promise<void> {
    await write();
    await waitFor(
      "Consul has the truth",
      () => this.#consulHasTruth(),
      () => this.#describe(),
    );
    const truthMs = performance.now();
    await waitFor(
      "the gateways have the truth",
      () => this.#allHaveTruth(),
      () => this.#describe(),
    );
    const endMs = performance.now();
    this.results.push({ fault, consulMs: truthMs - healedMs, gatewaysMs: endMs - truthMs });
  }

  /** What each gateway keeps although Consul does not show it, and the last that it said. */
  async #describe(): Promise<string> {
    const told = this.gateways.map(async (gateway) => {
      const { held, consul } = await gateway.status();
      return `${JSON.stringify({ held, consul })}\n${gateway.output}`;
    });
    return (await Promise.all(told)).join("\n");
  }
}
