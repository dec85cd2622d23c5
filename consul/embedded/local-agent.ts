/**
 * The services and checks that are registered at this agent (Consul API, "Agent"). Runs the checks and carries
 * everything into the catalog. No HTTP.
 */
import { ApiError } from "./api-error.ts";
import { deleteCheck, deleteService, putCheck, putService } from "./catalog.ts";
import { type CheckReach, checkReach } from "./check-reach.ts";
import { RunningCheck } from "./checks.ts";
import type { Clock, Timer } from "./clock.ts";
import type { Outcome } from "./probes.ts";
import { type Check, type CheckDefinition, rowKey, type Service, type Status } from "./records.ts";
import type { Sessions } from "./sessions.ts";
import type { Store, Transaction } from "./store.ts";

/** A check that somebody asks for. */
export interface CheckRequest {
  readonly definition: CheckDefinition;
  /** The status until the first result of the check. Default critical. */
  readonly status: Status | null;
}

/** A new output without a new status reaches the catalog after this time, as with Consul's `check_update_interval`. */
const outputDelayMs = 5 * 60_000;

const noReason = (of: string) =>
  `Maintenance mode is enabled for this ${of}, but no reason was provided. This is a default message.`;

export class LocalAgent {
  readonly #store: Store;
  readonly #sessions: Sessions;
  readonly #node: string;
  readonly #reach: CheckReach;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #running = new Map<string, RunningCheck>();
  readonly #lateOutputs = new Map<string, Timer>();

  /** `node`: the name of its node. `random` gives numbers from 0 up to 1. */
  constructor(
    store: Store,
    sessions: Sessions,
    node: string,
    clock: Clock,
    random: () => number,
    reach: CheckReach = checkReach(null),
  ) {
    this.#store = store;
    this.#sessions = sessions;
    this.#node = node;
    this.#reach = reach;
    this.#clock = clock;
    this.#random = random;
    for (const definition of store.rows("agentCheck").values()) {
      const row = store.get("check", rowKey(node, definition.checkId));
      this.#run(definition, { status: row?.Status ?? "critical", output: row?.Output ?? "" });
    }
  }

  services(): readonly Service[] {
    return [...this.#store.rows("agentService").values()];
  }

  service(id: string): Service | null {
    return this.#store.get("agentService", id) ?? null;
  }

  /** The checks with their current outputs. */
  checks(): readonly Check[] {
    return [...this.#running.values()].map(({ definition, outcome }) =>
      this.#checkOf(definition, outcome),
    );
  }

  /**
   * Adds or replaces a service. A check that exists already keeps its status. Checks that are not named stay, unless
   * `replaceChecks` is set.
   */
  registerService(service: Service, checks: readonly CheckRequest[], replaceChecks: boolean): void {
    const kept = new Set(checks.map(({ definition }) => definition.checkId));
    const dropped = replaceChecks ? this.#checksOf(service.ID).filter((id) => !kept.has(id)) : [];
    this.#store.commit((tx) => {
      for (const id of dropped) this.#deleteCheck(tx, id);
      tx.set("agentService", service.ID, service);
      putService(tx, this.#node, service);
      for (const request of checks) this.#putCheck(tx, request);
      // The remaining checks get the new name and tags of the service.
      for (const id of this.#checksOf(service.ID)) {
        const running = this.#running.get(id);
        if (running === undefined || kept.has(id) || dropped.includes(id)) continue;
        putCheck(tx, this.#checkOf(running.definition, running.outcome));
      }
    });
    for (const id of dropped) this.#end(id);
    for (const request of checks) this.#start(request);
    this.#sessions.review();
  }

  /** Returns false when there is no such service, which Consul reports as success. */
  deregisterService(id: string): boolean {
    if (this.service(id) === null) return false;
    const checks = this.#checksOf(id);
    this.#store.commit((tx) => {
      for (const check of checks) this.#deleteCheck(tx, check);
      tx.delete("agentService", id);
      deleteService(tx, this.#node, id);
    });
    for (const check of checks) this.#end(check);
    this.#sessions.review();
    return true;
  }

  registerCheck(request: CheckRequest): void {
    const { serviceId } = request.definition;
    if (serviceId !== "" && this.service(serviceId) === null) {
      throw new ApiError(500, `ServiceID "${serviceId}" does not exist`);
    }
    this.#store.commit((tx) => this.#putCheck(tx, request));
    this.#start(request);
    this.#sessions.review();
  }

  deregisterCheck(id: string): void {
    if (!this.#running.has(id)) return;
    this.#store.commit((tx) => this.#deleteCheck(tx, id));
    this.#end(id);
    this.#sessions.review();
  }

  /** A report of a TTL check. */
  report(id: string, outcome: Outcome): void {
    const running = this.#running.get(id);
    if (running === undefined || running.definition.kind !== "ttl") {
      throw new ApiError(500, `CheckID "${id}" does not have associated TTL`);
    }
    running.report(outcome);
  }

  /** Puts a service into maintenance, or the whole node when `serviceId` is empty. */
  setMaintenance(serviceId: string, enable: boolean, reason: string): void {
    const checkId = serviceId === "" ? "_node_maintenance" : `_service_maintenance:${serviceId}`;
    if (!enable) this.deregisterCheck(checkId);
    if (!enable || this.#running.has(checkId)) return;
    const of = serviceId === "" ? "node" : "service";
    this.registerCheck({
      definition: {
        ...emptyCheck,
        checkId,
        name: serviceId === "" ? "Node Maintenance Mode" : "Service Maintenance Mode",
        notes: reason || noReason(of),
        serviceId,
        kind: "maintenance",
      },
      status: "critical",
    });
  }

  /** Ends the checks. After a restart every TTL has its whole time again. */
  close(): void {
    for (const running of this.#running.values()) running.close();
    for (const timer of this.#lateOutputs.values()) timer.cancel();
  }

  #checksOf(serviceId: string): string[] {
    return [...this.#running.values()]
      .filter(({ definition }) => definition.serviceId === serviceId)
      .map(({ definition }) => definition.checkId);
  }

  #outcomeOf({ definition, status }: CheckRequest): Outcome {
    const before = this.#running.get(definition.checkId)?.outcome;
    return before ?? { status: status ?? "critical", output: "" };
  }

  #putCheck(tx: Transaction, request: CheckRequest): void {
    tx.set("agentCheck", request.definition.checkId, request.definition);
    putCheck(tx, this.#checkOf(request.definition, this.#outcomeOf(request)));
  }

  #deleteCheck(tx: Transaction, id: string): void {
    tx.delete("agentCheck", id);
    deleteCheck(tx, this.#node, id);
  }

  #start(request: CheckRequest): void {
    const outcome = this.#outcomeOf(request);
    this.#end(request.definition.checkId);
    this.#run(request.definition, outcome);
  }

  #run(definition: CheckDefinition, outcome: Outcome): void {
    const running = new RunningCheck(definition, outcome, this.#reach, this.#clock, this.#random, {
      changed: () => this.#reflect(definition.checkId),
      overdue: () => this.deregisterService(definition.serviceId),
    });
    this.#running.set(definition.checkId, running);
  }

  #end(id: string): void {
    this.#running.get(id)?.close();
    this.#running.delete(id);
    this.#lateOutputs.get(id)?.cancel();
    this.#lateOutputs.delete(id);
  }

  /** Brings the result of a check into the catalog: a new status at once, a new output alone later. */
  #reflect(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    const { definition, outcome } = running;
    const sync = () => {
      this.#lateOutputs.get(id)?.cancel();
      this.#lateOutputs.delete(id);
      this.#store.commit((tx) => putCheck(tx, this.#checkOf(definition, running.outcome)));
    };
    const known = this.#store.get("check", rowKey(this.#node, id));
    if (known?.Status !== outcome.status) {
      sync();
      this.#sessions.review();
    } else if (!this.#lateOutputs.has(id)) {
      this.#lateOutputs.set(id, this.#clock.after(outputDelayMs, sync));
    }
  }

  #checkOf(definition: CheckDefinition, outcome: Outcome): Check {
    const service = this.service(definition.serviceId);
    return {
      Node: this.#node,
      CheckID: definition.checkId,
      Name: definition.name,
      Status: outcome.status,
      Notes: definition.notes,
      Output: outcome.output,
      ServiceID: definition.serviceId,
      ServiceName: service?.Service ?? "",
      ServiceTags: service?.Tags ?? [],
      Type: definition.kind,
    };
  }
}

/** A check that does nothing yet. */
export const emptyCheck: CheckDefinition = {
  checkId: "",
  name: "",
  notes: "",
  serviceId: "",
  kind: "ttl",
  ttlMs: 0,
  http: "",
  method: "",
  header: {},
  body: "",
  tlsSkipVerify: false,
  tcp: "",
  intervalMs: 0,
  timeoutMs: 0,
  deregisterAfterMs: 0,
  successBeforePassing: 0,
  failuresBeforeCritical: 0,
};
