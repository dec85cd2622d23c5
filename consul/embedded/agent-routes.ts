/** The endpoints under `/v1/agent/` and `/v1/status/`. */
import { createHash } from "node:crypto";
import { ApiError } from "./api-error.ts";
import { bodies, parseBody } from "./bodies.ts";
import { type Answer, type ApiRequest, done, json, need, type Route } from "./http.ts";
import type { LocalAgent } from "./local-agent.ts";
import { presentOwnCheck, presentOwnService } from "./presentation.ts";
import type { Status } from "./records.ts";
import { agentServiceFrom, checkFrom, serviceChecksFrom } from "./registration.ts";

/** Who this agent is. */
export interface Identity {
  readonly node: string;
  readonly nodeId: string;
  readonly address: string;
  /** Known once the agent listens. */
  readonly port: () => number;
  readonly datacenter: string;
}

/** The version of Consul that the agent imitates, marked so that nobody takes the agent for Consul itself. */
export const version = "1.8.7+sluice";

export function agentRoutes(agent: LocalAgent, identity: Identity): Route[] {
  const leader = () => {
    const { address, port } = identity;
    return `${address.includes(":") ? `[${address}]` : address}:${port()}`;
  };
  const get = (path: string, answer: (request: ApiRequest) => Answer): Route => ({
    path,
    methods: { GET: answer },
  });
  const put = (path: string, run: (request: ApiRequest) => void): Route => ({
    path,
    methods: {
      PUT: (request) => {
        run(request);
        return done;
      },
    },
  });
  const report = (path: string, status: Status): Route =>
    put(path, ({ rest, query }) => agent.report(rest, { status, output: query.get("note") ?? "" }));

  return [
    get("/v1/status/leader", () => json(leader())),
    get("/v1/status/peers", () => json([leader()])),
    get("/v1/agent/self", () => json(self(identity))),
    get("/v1/agent/members", () => json([member(identity)])),
    get("/v1/agent/services", () =>
      json(Object.fromEntries(agent.services().map((own) => [own.ID, presentOwnService(own)]))),
    ),
    get("/v1/agent/service/", ({ rest }) => {
      const service = agent.service(need(rest, "Missing service ID"));
      if (service === null) throw new ApiError(404, `unknown service ID: ${rest}`);
      const shown = presentOwnService(service);
      const hash = createHash("sha256").update(JSON.stringify(shown)).digest("hex").slice(0, 16);
      const answer = json({ ...shown, ContentHash: hash });
      return { ...answer, headers: { "X-Consul-ContentHash": hash } };
    }),
    put("/v1/agent/service/register", ({ body, query }) => {
      const given = parseBody(bodies.agentService, body);
      const service = agentServiceFrom(given);
      const checks = serviceChecksFrom(given, service);
      agent.registerService(service, checks, readFlag(query, "replace-existing-checks"));
    }),
    put("/v1/agent/service/deregister/", ({ rest }) => {
      if (rest === "") throw new ApiError(500, "ServiceID missing");
      agent.deregisterService(rest);
    }),
    put("/v1/agent/service/maintenance/", ({ rest, query }) => {
      const id = need(rest, "Missing service ID");
      const enable = readEnable(query);
      if (agent.service(id) === null) {
        throw new ApiError(404, `No service registered with ID "${id}"`);
      }
      agent.setMaintenance(id, enable, query.get("reason") ?? "");
    }),
    put("/v1/agent/maintenance", ({ query }) =>
      agent.setMaintenance("", readEnable(query), query.get("reason") ?? ""),
    ),
    get("/v1/agent/checks", () =>
      json(Object.fromEntries(agent.checks().map((own) => [own.CheckID, presentOwnCheck(own)]))),
    ),
    put("/v1/agent/check/register", ({ body }) => {
      const given = parseBody(bodies.agentCheck, body);
      if (given.Name === "") throw new ApiError(400, "Missing check name");
      agent.registerCheck(checkFrom(given));
    }),
    put("/v1/agent/check/deregister/", ({ rest }) =>
      agent.deregisterCheck(need(rest, "Missing check ID")),
    ),
    report("/v1/agent/check/pass/", "passing"),
    report("/v1/agent/check/warn/", "warning"),
    report("/v1/agent/check/fail/", "critical"),
    put("/v1/agent/check/update/", ({ rest, body }) => {
      const { Status, Output } = parseBody(bodies.checkUpdate, body);
      if (Status !== "passing" && Status !== "warning" && Status !== "critical") {
        throw new ApiError(400, `Invalid check status: '${Status}'`);
      }
      agent.report(rest, { status: Status, output: Output });
    }),
  ];
}

function readEnable(query: URLSearchParams): boolean {
  if (!query.has("enable")) throw new ApiError(400, "Missing value for enable");
  return readFlag(query, "enable");
}

/** True also for a flag without a value. */
function readFlag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new ApiError(400, `Invalid value for ${name}: "${text}"`);
}

function member({ node, nodeId, address, port, datacenter }: Identity) {
  return {
    Name: node,
    Addr: address,
    Port: port(),
    Tags: { build: version, dc: datacenter, id: nodeId, role: "consul" },
    Status: 1,
    ProtocolMin: 1,
    ProtocolMax: 5,
    ProtocolCur: 2,
    DelegateMin: 2,
    DelegateMax: 5,
    DelegateCur: 4,
  };
}

function self(identity: Identity) {
  return {
    Config: {
      Datacenter: identity.datacenter,
      NodeName: identity.node,
      NodeID: identity.nodeId,
      Revision: "",
      Server: true,
      Version: version,
    },
    DebugConfig: {},
    Member: member(identity),
    Stats: {},
    Meta: {},
  };
}
