/**
 * The Consul agent as the registrator uses it: list, register, deregister, refresh a TTL check, and the
 * address it advertises. One request each, with a deadline; nothing here tries again.
 */
import type Consul from "consul";
import { z } from "zod";
import { describeConsulError } from "../errors.ts";
import type { ServiceCheck } from "./check.ts";
import type { DesiredService } from "./services.ts";

/** What the agent has under an ID. */
export interface ActualService {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

export interface AgentState {
  /** The address that the agent advertises; empty when it does not say. */
  readonly address: string;
  readonly services: ReadonlyMap<string, ActualService>;
}

/** Each method rejects when the agent does not answer within `deadlineMs` or answers with an error. */
export interface Agent {
  state(): Promise<AgentState>;
  register(service: DesiredService, agentAddress: string): Promise<void>;
  /** Also resolves when there is no such service. */
  deregister(id: string): Promise<void>;
  /** Marks the service's TTL check as passing. */
  refresh(id: string): Promise<void>;
}

const deadlineMs = 5_000;
/** The client's own types do not know its `timeout`, though every call takes it. */
const deadline: { readonly token?: string; readonly timeout: number } = { timeout: deadlineMs };

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
const self = z.object({ Member: z.object({ Addr: z.string().default("") }).nullish() });

/** An agent on a client of the library's, with whose host, token and TLS it works. */
export function agentOf(consul: Consul): Agent {
  return {
    async state() {
      const [ownAnswer, listAnswer]: readonly unknown[] = await Promise.all([
        consul.agent.self({ ...deadline }),
        consul.agent.service.list({ ...deadline }),
      ]);
      const services = Object.entries(listed.parse(listAnswer)).map(([id, service]) => {
        const { Service: name, Address: address, Port: port, Tags, Meta } = service;
        return { id, name, address, port, tags: Tags ?? [], meta: Meta ?? {} };
      });
      return {
        address: self.parse(ownAnswer).Member?.Addr ?? "",
        services: new Map(services.map((service) => [service.id, service])),
      };
    },
    async register(service, agentAddress) {
      await consul.agent.service.register(registrationOf(service, agentAddress));
    },
    async deregister(id) {
      try {
        await consul.agent.service.deregister({ id, ...deadline });
      } catch (error) {
        // Consul up to 1.10 answers 500, later ones 404.
        if (!/unknown service/i.test(describeConsulError(error))) throw error;
      }
    },
    async refresh(id) {
      await consul.agent.check.pass({ id: checkId(id), ...deadline });
    },
  };
}

/** The agent already has this service as it should be. Checks are told apart by their metadata. */
export function isAsDesired(
  actual: ActualService,
  desired: DesiredService,
  agentAddress: string,
): boolean {
  return (
    actual.name === desired.name &&
    actual.port === desired.port &&
    actual.address === (desired.address ?? agentAddress) &&
    actual.tags.length === desired.tags.length &&
    actual.tags.every((tag) => desired.tags.includes(tag)) &&
    Object.keys(actual.meta).length === Object.keys(desired.meta).length &&
    Object.entries(desired.meta).every(([key, value]) => actual.meta[key] === value)
  );
}

function registrationOf(service: DesiredService, agentAddress: string) {
  const { id, name, port, tags, meta, check } = service;
  const address = service.address ?? agentAddress;
  const target = { host: address === "" ? "127.0.0.1" : address, port };
  return {
    ...{ id, name, address, port, tags: [...tags], meta: { ...meta } },
    ...(check === null ? {} : { check: checkOf(check, service, target) }),
    ...deadline,
  };
}

function checkId(serviceId: string): string {
  return `service:${serviceId}`;
}

/** Consul API, "Register Check", in the client library's spelling. */
function checkOf(
  check: ServiceCheck,
  service: DesiredService,
  target: { readonly host: string; readonly port: number },
) {
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const endpoint = `${host}:${target.port}`;
  return {
    name: `Service '${service.name}' check`,
    checkid: checkId(service.id),
    timeout: check.kind === "ttl" ? "" : check.timeout,
    ...(check.status === null ? {} : { status: check.status }),
    ...(check.deregisterAfter === null
      ? {}
      : { deregistercriticalserviceafter: check.deregisterAfter }),
    ...(check.kind === "ttl" ? { ttl: check.ttl } : { interval: check.interval }),
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
