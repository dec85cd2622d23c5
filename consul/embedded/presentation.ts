/** Records as the HTTP API shows them. Values that Consul always sends but the agent does not use are constants. */
import type { Instance } from "./catalog.ts";
import type { Check, CheckRecord, NodeRecord, Service, ServiceRecord } from "./records.ts";

export function presentNode(node: NodeRecord, datacenter: string) {
  const { ID, Node, Address, ...rest } = node;
  return { ID, Node, Address, Datacenter: datacenter, ...rest };
}

/** A service of a node, as `/v1/catalog/node` and `/v1/health/service` have it. */
export function presentService(record: ServiceRecord) {
  const { Node: _, TaggedAddresses, CreateIndex, ModifyIndex, ...service } = record;
  return {
    ...service,
    ...(TaggedAddresses === null ? {} : { TaggedAddresses }),
    Proxy: { MeshGateway: {}, Expose: {} },
    Connect: {},
    CreateIndex,
    ModifyIndex,
  };
}

/** A service with the address of its node, as `/v1/catalog/service` has it. */
export function presentServiceNode({ node, service }: Instance, datacenter: string) {
  return {
    ID: node.ID,
    Node: node.Node,
    Address: node.Address,
    Datacenter: datacenter,
    TaggedAddresses: node.TaggedAddresses,
    NodeMeta: node.Meta,
    ServiceKind: "",
    ServiceID: service.ID,
    ServiceName: service.Service,
    ServiceTags: service.Tags,
    ServiceAddress: service.Address,
    ...(service.TaggedAddresses === null
      ? {}
      : { ServiceTaggedAddresses: service.TaggedAddresses }),
    ServiceWeights: service.Weights,
    ServiceMeta: service.Meta ?? {},
    ServicePort: service.Port,
    ServiceEnableTagOverride: service.EnableTagOverride,
    ServiceProxy: { MeshGateway: {}, Expose: {} },
    ServiceConnect: {},
    CreateIndex: service.CreateIndex,
    ModifyIndex: service.ModifyIndex,
  };
}

export function presentInstance({ node, service, checks }: Instance, datacenter: string) {
  return {
    Node: presentNode(node, datacenter),
    Service: presentService(service),
    Checks: checks.map(presentCheck),
  };
}

export function presentCheck({ CreateIndex, ModifyIndex, ...check }: CheckRecord) {
  return { ...check, Definition: {}, CreateIndex, ModifyIndex };
}

/** A service as its own agent shows it. */
export function presentOwnService(service: Service) {
  const { TaggedAddresses, Meta, ...rest } = service;
  return {
    ...rest,
    ...(TaggedAddresses === null ? {} : { TaggedAddresses }),
    Meta: Meta ?? {},
  };
}

/** A check as its own agent shows it: before the catalog gave it an index. */
export function presentOwnCheck(check: Check) {
  return { ...check, Definition: {}, CreateIndex: 0, ModifyIndex: 0 };
}
