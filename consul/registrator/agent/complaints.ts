/** What the log is told of a container's service: once for as long as the container is there. */
import type Logger from "bunyan";
import type { DesiredService } from "../services/services.ts";

export class Complaints {
  readonly #log: Pick<Logger, "warn" | "error">;
  readonly #told = new Map<string, Set<string>>();

  constructor(log: Pick<Logger, "warn" | "error">) {
    this.#log = log;
  }

  /** The service is not registered; the label that gave its ID is named. */
  refuse(service: DesiredService, why: string): void {
    const label = service.idLabel === undefined ? "" : ` (label ${service.idLabel})`;
    this.tell(service, "error", `${why}; not registered${label}`);
  }

  tell(service: DesiredService, level: "error" | "warn", what: string): void {
    const { id, containerId, containerName } = service;
    const told = this.#told.get(containerId) ?? new Set();
    if (told.has(`${id} ${what}`)) return;
    this.#told.set(containerId, told.add(`${id} ${what}`));
    const line = `container "${containerName}": service ID "${id}" ${what}`;
    this.#log[level]({ id, container: containerName }, line);
  }

  /** The container is gone. */
  forget(containerId: string): void {
    this.#told.delete(containerId);
  }
}
