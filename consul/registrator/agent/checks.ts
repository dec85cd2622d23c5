/** A service's check as the agent takes it, and what the registrator itself says of its status. */
import { isDeepStrictEqual } from "node:util";
import type { ServiceCheck } from "../services/check.ts";
import type { DesiredService } from "../services/services.ts";

/** What the registrator itself says of a service's TTL check. */
export interface Report {
  readonly status: "passing" | "warning" | "critical";
  /** The check's output. */
  readonly note: string;
}

const refusedTtl = "24h";

/** Checks of the agent's own; the others are TTL checks that somebody refreshes. */
export function isMadeByAgent({ kind }: ServiceCheck): boolean {
  return kind === "http" || kind === "tcp" || kind === "grpc";
}

/** `null`: the registrator does not say what the check's status is. */
export function reportOf(check: ServiceCheck | null): Report | null {
  switch (check?.kind) {
    case "refused":
      return { status: "critical", note: check.reason };
    case "alive":
      return { status: "passing", note: "the container runs" };
    case "health": {
      const { status, output } = check.health;
      const note = `Docker's HEALTHCHECK: ${status}${output === "" ? "" : `: ${output}`}`;
      if (status === "starting") return { status: check.status ?? "critical", note };
      return { status: status === "healthy" ? "passing" : "critical", note };
    }
    default:
      return null;
  }
}

/** Of `checks`, the status of every check by its ID. */
export function hasCheck(
  { id, check }: DesiredService,
  checks: ReadonlyMap<string, string>,
): boolean {
  if (check === null) return true;
  const status = checks.get(checkId(id));
  return status !== undefined && status === (reportOf(check)?.status ?? status);
}

export function checkId(serviceId: string): string {
  return `service:${serviceId}`;
}

/** Consul API, "Register Check", in the client library's spelling. */
export function checkPayload(
  check: ServiceCheck,
  service: DesiredService,
  target: { readonly host: string; readonly port: number },
) {
  const made = { name: `Service '${service.name}' check`, checkid: checkId(service.id) };
  if (check.kind === "refused") {
    // Nobody reports, so that it never passes.
    const never = { timeout: "", ttl: refusedTtl, status: "critical" };
    return { ...made, ...never, notes: check.reason };
  }
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const endpoint = `${host}:${target.port}`;
  const status = reportOf(check)?.status ?? check.status;
  return {
    ...made,
    ...(status === null ? {} : { status }),
    ...(check.deregisterAfter === null
      ? {}
      : { deregistercriticalserviceafter: check.deregisterAfter }),
    timeout: "timeout" in check ? check.timeout : "",
    ...("ttl" in check ? { ttl: check.ttl } : { interval: check.interval }),
    ...(check.kind === "tcp" ? { tcp: endpoint } : {}),
    ...(check.kind === "http"
      ? {
          http: `${check.scheme}://${endpoint}${check.path}`,
          ...(check.method === null ? {} : { method: check.method }),
        }
      : {}),
    ...(check.kind === "grpc"
      ? { grpc: endpoint, grpcusetls: check.tls, tlsskipverify: check.skipVerify }
      : {}),
  };
}

/** Whether they differ only in what Docker's HEALTHCHECK says. */
export function differInHealth(one: DesiredService | undefined, other: DesiredService): boolean {
  if (one?.check?.kind !== "health" || other.check?.kind !== "health") return false;
  const { health } = other.check;
  return isDeepStrictEqual({ ...one, check: { ...one.check, health } }, other);
}
