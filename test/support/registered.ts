/** What a Consul agent has, for tests that wait until it has something or has it no more. */
import { setTimeout as sleep } from "node:timers/promises";

export interface RegisteredService {
  readonly ID: string;
  readonly Service: string;
  readonly Address: string;
  readonly Port: number;
  readonly Tags: readonly string[];
  readonly Meta: Readonly<Record<string, string>>;
}

export interface RegisteredCheck {
  readonly Status: string;
  readonly Output: string;
  readonly ServiceID: string;
  readonly Type: string;
}

export interface ConsulView {
  /** Waits until the service is there. */
  service(id: string): Promise<RegisteredService>;
  /** Waits until there is no such service. */
  gone(id: string): Promise<void>;
  ids(): Promise<readonly string[]>;
  /** By ID, as they are now. */
  services(): Promise<Readonly<Record<string, RegisteredService>>>;
  checks(): Promise<Readonly<Record<string, RegisteredCheck>>>;
  passCheck(id: string): Promise<void>;
  deregisterCheck(id: string): Promise<void>;
  /** By hand, as somebody who is not the registrator. */
  register(service: Readonly<Record<string, unknown>>): Promise<void>;
  deregister(id: string): Promise<void>;
}

const deadlineMs = 60_000;

/** Waits until `attempt` does not throw. Rejects with `what` and its last error after 60 seconds. */
export async function eventually<Result>(
  what: string,
  attempt: () => Promise<Result>,
): Promise<Result> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error(`waited in vain until ${what}: ${error}`, { cause: error });
    }
    await sleep(10);
  }
}

/** The agent at `url`, asked anew each time. */
export function viewOf(url: string): ConsulView {
  async function get<Answer>(path: string): Promise<Answer> {
    const answer = await fetch(`${url}/v1${path}`);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    // The tests say what they expect of Consul's answers.
    return (await answer.json()) as Answer;
  }
  async function put(path: string, body = ""): Promise<void> {
    const answer = await fetch(`${url}/v1${path}`, { method: "PUT", body });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
  const services = () => get<Record<string, RegisteredService>>("/agent/services");
  return {
    service: (id) =>
      eventually(`Consul has ${id}`, async () => {
        const all = await services();
        const service = all[id];
        if (service === undefined) throw new Error(`it has ${Object.keys(all).join(", ")}`);
        return service;
      }),
    gone: (id) =>
      eventually(`Consul has ${id} no more`, async () => {
        if (id in (await services())) throw new Error("it is there");
      }),
    ids: async () => Object.keys(await services()),
    services,
    checks: () => get("/agent/checks"),
    passCheck: (id) => put(`/agent/check/pass/${encodeURIComponent(id)}`),
    deregisterCheck: (id) => put(`/agent/check/deregister/${encodeURIComponent(id)}`),
    register: (service) => put("/agent/service/register", JSON.stringify(service)),
    deregister: (id) => put(`/agent/service/deregister/${encodeURIComponent(id)}`),
  };
}
