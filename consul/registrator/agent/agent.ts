/**
 * The Consul agent as the registrator uses it: list, register, deregister, refresh a TTL check, and the
 * addresses it has itself. Requests have a deadline; nothing here tries again.
 */
import type Consul from "consul";
import { z } from "zod";
import { deadline } from "../../api/calls.ts";
import { describeConsulError } from "../../api/errors.ts";
import { hostnameForm } from "../options.ts";
import { refusedCheck } from "../services/check.ts";
import { refusedKey } from "../services/meta.ts";
import type { DesiredService } from "../services/services.ts";
import { checkId, checkPayload, hasCheck, isMadeByAgent, type Report, reportOf } from "./checks.ts";
import { type AgentEndpoints, agentEndpoints, agentSelf } from "./endpoints.ts";

/** What the agent has under an ID. */
export interface ActualService {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

/** What a registration depends on beside the container. */
export interface AgentIdentity {
  /** The address that the agent advertises; empty when it does not say. */
  readonly address: string;
  readonly endpoints: AgentEndpoints;
}

export interface AgentState extends AgentIdentity {
  readonly services: ReadonlyMap<string, ActualService>;
  /** The status of every check, by its ID. */
  readonly checks: ReadonlyMap<string, string>;
}

/** Each method rejects when the agent does not answer in time or answers with an error. */
export interface Agent {
  /** The name of the agent's node in the catalog. */
  nodeName(): Promise<string>;
  state(): Promise<AgentState>;
  /** What the agent has, by ID; for a token that may not see more of it. */
  services(): Promise<ReadonlyMap<string, ActualService>>;
  /** The service with this ID and the owner of the check that it would have; `null`: there is none. */
  find(id: string): Promise<{
    readonly service: ActualService | null;
    readonly checkOwner: string | null;
  }>;
  /** `service` as `asRegistered` gives it. */
  register(service: DesiredService, agentAddress: string): Promise<void>;
  /** Also resolves when there is no such service. */
  deregister(id: string): Promise<void>;
  /** Gives the service's TTL check its status, until its time is up. */
  report(id: string, report: Report): Promise<void>;
}

const namedSelf = z.object({ Config: z.object({ NodeName: z.string() }) });
const listed = z.record(
  z.string(),
  z.object({
    Service: z.string(),
    Address: z.string().default(""),
    Port: z.number().default(0),
    Tags: z.array(z.string()).nullish(),
    Meta: z.record(z.string(), z.string()).nullish(),
  }),
);
const listedChecks = z.record(
  z.string(),
  z.object({ ServiceID: z.string().default(""), Status: z.string().default("") }),
);

/** An agent on a client of the library's, with whose host, token and TLS it works. */
export function agentOf(consul: Consul): Agent {
  return {
    async nodeName() {
      const answer: unknown = await consul.agent.self({ ...deadline });
      const { NodeName } = namedSelf.parse(answer).Config;
      if (hostnameForm.test(NodeName)) return NodeName;
      const shown = JSON.stringify(NodeName);
      throw new Error(`the agent's node name ${shown} cannot begin an ID; give --hostname`);
    },
    async state() {
      const [ownAnswer, listAnswer, checkAnswer]: readonly unknown[] = await Promise.all([
        consul.agent.self({ ...deadline }),
        consul.agent.service.list({ ...deadline }),
        consul.agent.check.list({ ...deadline }),
      ]);
      const self = agentSelf.parse(ownAnswer);
      return {
        address: self.Member?.Addr ?? "",
        endpoints: await agentEndpoints(consul, self),
        services: servicesIn(listAnswer),
        checks: new Map(
          Object.entries(listedChecks.parse(checkAnswer)).map(([id, { Status }]) => [id, Status]),
        ),
      };
    },
    async services() {
      return servicesIn(await consul.agent.service.list({ ...deadline }));
    },
    async find(id) {
      const [services, checks]: readonly unknown[] = await Promise.all([
        consul.agent.service.list({ ...deadline }),
        consul.agent.check.list({ ...deadline }),
      ]);
      const check = listedChecks.parse(checks)[checkId(id)];
      return {
        service: servicesIn(services).get(id) ?? null,
        checkOwner: check?.ServiceID ?? null,
      };
    },
    async register(service, agentAddress) {
      await consul.agent.service.register(registrationOf(service, agentAddress));
      // A check that was there before keeps its status, which may be another.
      const report = reportOf(service.check);
      if (report !== null) await this.report(service.id, report);
    },
    async deregister(id) {
      try {
        await consul.agent.service.deregister({ id, ...deadline });
      } catch (error) {
        // Consul up to 1.10 answers 500, later ones 404.
        if (!/unknown service/i.test(describeConsulError(error))) throw error;
      }
    },
    async report(id, { status, note }) {
      const check = { id: checkId(id), note, ...deadline };
      if (status === "passing") await consul.agent.check.pass(check);
      else if (status === "warning") await consul.agent.check.warn(check);
      else await consul.agent.check.fail(check);
    },
  };
}

function servicesIn(answer: unknown): ReadonlyMap<string, ActualService> {
  const services = Object.entries(listed.parse(answer)).map(([id, service]) => {
    const { Service: name, Address: address, Port: port, Tags, Meta } = service;
    return { id, name, address, port, tags: Tags ?? [], meta: Meta ?? {} };
  });
  return new Map(services.map((service) => [service.id, service]));
}

/** A container's service as this agent may have it: never with a check that the agent makes of itself. */
export function asRegistered(
  service: DesiredService,
  { address, endpoints }: AgentIdentity,
): DesiredService {
  const { check, port, meta } = service;
  if (check === null || !isMadeByAgent(check)) return service;
  const target = service.address ?? (address === "" ? "127.0.0.1" : address);
  if (!endpoints.has(target, port)) return service;
  const reason = `the check would be at the Consul agent's own address ${target}:${port}`;
  return { ...service, check: refusedCheck(reason), meta: { ...meta, [refusedKey]: "check" } };
}

/** The agent already has this service as it should be. Checks are told apart by their metadata. */
export function isAsDesired(actual: ActualService, desired: DesiredService, state: AgentState) {
  return (
    actual.name === desired.name &&
    actual.port === desired.port &&
    actual.address === (desired.address ?? state.address) &&
    actual.tags.length === desired.tags.length &&
    actual.tags.every((tag) => desired.tags.includes(tag)) &&
    Object.keys(actual.meta).length === Object.keys(desired.meta).length &&
    Object.entries(desired.meta).every(([key, value]) => actual.meta[key] === value) &&
    hasCheck(desired, state.checks)
  );
}

function registrationOf(service: DesiredService, agentAddress: string) {
  const { id, name, port, tags, meta, check } = service;
  const address = service.address ?? agentAddress;
  const target = { host: address === "" ? "127.0.0.1" : address, port };
  return {
    ...{ id, name, address, port, tags: [...tags], meta: { ...meta } },
    ...(check === null ? {} : { check: checkPayload(check, service, target) }),
    ...deadline,
  };
}
