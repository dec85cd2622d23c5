/** From the bodies of registrations to services and checks, with Consul's defaults and refusals. */
import { isIP } from "node:net";
import { ApiError } from "./api-error.ts";
import type { AgentCheckBody, AgentServiceBody } from "./bodies.ts";
import { type CheckRequest, emptyCheck } from "./local-agent.ts";
import type { CheckDefinition, Service, ServiceAddress, Status } from "./records.ts";

type ServiceFields = Omit<AgentServiceBody, "Name" | "Check" | "Checks">;

/** The service that is called `name`; its ID is the name unless it has one. */
export function serviceFrom(name: string, given: ServiceFields): Service {
  return {
    ID: given.ID || name,
    Service: name,
    Tags: given.Tags,
    Address: given.Address,
    TaggedAddresses: given.TaggedAddresses ?? null,
    Meta: given.Meta ?? null,
    Port: given.Port,
    Weights: given.Weights ?? { Passing: 1, Warning: 1 },
    EnableTagOverride: given.EnableTagOverride,
  };
}

/** The service that a body for this agent asks for. Throws a 400. */
export function agentServiceFrom(given: AgentServiceBody): Service {
  if (given.Name === "") throw new ApiError(400, "Missing service name");
  if (given.Address === "0.0.0.0" || given.Address === "::") {
    throw new ApiError(400, "Invalid service address");
  }
  if (given.Weights !== undefined) checkWeights(given.Weights);
  const service = serviceFrom(given.Name, given);
  const family = isIP(given.Address);
  if (family === 0) return service;
  const own: ServiceAddress = { Address: given.Address, Port: given.Port };
  const tagged = { [`lan_ipv${family}`]: own, [`wan_ipv${family}`]: own };
  return { ...service, TaggedAddresses: { ...tagged, ...given.TaggedAddresses } };
}

/** The checks that a body for a service asks for, with their IDs. Throws a 400. */
export function serviceChecksFrom(given: AgentServiceBody, service: Service): CheckRequest[] {
  const asked = given.Check === undefined ? given.Checks : [given.Check, ...given.Checks];
  // A check with nothing in it is as good as none, as in Consul.
  const checks = asked.filter((check) => Object.values(check).some(isGiven));
  return checks.map((check, at) => {
    const ordinal = checks.length > 1 ? `:${at + 1}` : "";
    return checkFrom({
      ...check,
      CheckID: check.CheckID || check.ID || `service:${service.ID}${ordinal}`,
      Name: check.Name || `Service '${service.Service}' check`,
      ServiceID: service.ID,
    });
  });
}

/** The check that a body asks for. Throws a 400. */
export function checkFrom(given: AgentCheckBody): CheckRequest {
  refuseKinds(given);
  const id = given.CheckID || given.ID || given.Name;
  const refuse = (problem: string) => new ApiError(400, `Invalid check: ${problem}`);
  const looks = given.HTTP !== "" || given.TCP !== "";
  if (given.Interval > 0 && given.TTL > 0) {
    throw refuse("Interval and TTL cannot both be specified");
  }
  if (looks && given.Interval <= 0) {
    throw refuse("Interval must be > 0 for Script, HTTP, or TCP checks");
  }
  if (!looks && given.TTL <= 0) throw refuse("TTL must be > 0 for TTL checks");
  if (given.HTTP !== "" && !/^https?:\/\//i.test(given.HTTP)) {
    throw refuse(`HTTP must be an http or https URL, not "${given.HTTP}"`);
  }
  const definition: CheckDefinition = {
    ...emptyCheck,
    checkId: id,
    name: given.Name,
    notes: given.Notes,
    serviceId: given.ServiceID,
    kind: given.HTTP !== "" ? "http" : given.TCP !== "" ? "tcp" : "ttl",
    ttlMs: given.TTL,
    http: given.HTTP,
    method: given.Method,
    header: given.Header,
    body: given.Body,
    tlsSkipVerify: given.TLSSkipVerify,
    tcp: given.TCP,
    intervalMs: given.Interval,
    timeoutMs: given.Timeout,
    deregisterAfterMs: given.DeregisterCriticalServiceAfter,
    successBeforePassing: given.SuccessBeforePassing,
    failuresBeforeCritical: given.FailuresBeforeCritical,
  };
  return { definition, status: readStatus(given.Status, "Status") };
}

/** A status, or `null` for an empty one. Throws a 400 that names the field. */
export function readStatus(text: string, field: string): Status | null {
  if (text === "") return null;
  if (text === "passing" || text === "warning" || text === "critical") return text;
  throw new ApiError(400, `${field} must be 'passing', 'warning' or 'critical', not '${text}'`);
}

function isGiven(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === false) return false;
  return typeof value !== "object" || value === null || Object.keys(value).length > 0;
}

function refuseKinds(given: AgentCheckBody): void {
  if ([given.Args, given.ScriptArgs, given.Script].some(isGiven)) {
    throw new ApiError(500, "Scripts are disabled on this agent from remote calls");
  }
  const other = (["GRPC", "DockerContainerID", "AliasNode", "AliasService"] as const).find((name) =>
    isGiven(given[name]),
  );
  if (other !== undefined) {
    throw new ApiError(400, `Invalid check: the embedded agent has no checks by ${other}`);
  }
}

function checkWeights({ Passing, Warning }: { Passing: number; Warning: number }): void {
  const most = 65_535;
  if (Passing < 1) throw new ApiError(400, "Invalid Weights: Passing must be greater than 0");
  if (Warning < 0) {
    throw new ApiError(400, "Invalid Weights: Warning must be greater or equal than 0");
  }
  if (Passing > most || Warning > most) {
    throw new ApiError(400, `Invalid Weights: Passing and Warning must be at most ${most}`);
  }
}
