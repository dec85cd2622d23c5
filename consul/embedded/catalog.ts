/**
 * The catalog (Consul API, "Catalog"): which nodes, services and checks there are, and the index of each
 * table and each service. Functions on a transaction or a reader; no HTTP, no running checks.
 */
import { ApiError } from "./api-error.ts";
import {
  type Check,
  type CheckRecord,
  type Indexed,
  type NodeRecord,
  rowKey,
  type Service,
  type ServiceRecord,
} from "./records.ts";
import type { Reader, Transaction } from "./store.ts";

export type NodeEntry = Omit<NodeRecord, keyof Indexed>;

/** A service with its node and every check that decides about it. */
export interface Instance {
  readonly node: NodeRecord;
  readonly service: ServiceRecord;
  readonly checks: readonly CheckRecord[];
}

/** The index of a table: the last change of any of its rows. At least 1. */
export function tableIndex(
  reader: Reader,
  ...tables: readonly ("nodes" | "services" | "checks")[]
) {
  return Math.max(1, ...tables.map((table) => reader.get("index", table) ?? 0));
}

/**
 * The index of one service: that of its last change. For a service that does not exist, it is the index at which a
 * service of any name last disappeared, or that of the tables when none ever did.
 */
export function serviceIndex(reader: Reader, name: string): number {
  return (
    reader.get("index", serviceTopic(name)) ??
    reader.get("index", "extinction") ??
    tableIndex(reader, "nodes", "services", "checks")
  );
}

/** The record that a query about one service depends on; a service is asked for by its name in any case. */
export function serviceTopic(name: string): string {
  return `service:${name.toLowerCase()}`;
}

function servicesOf(reader: Reader, name: string): ServiceRecord[] {
  const topic = serviceTopic(name);
  return sorted(
    [...reader.rows("service").values()].filter(({ Service }) => serviceTopic(Service) === topic),
  );
}

export function servicesOnNode(reader: Reader, node: string): ServiceRecord[] {
  return sorted([...reader.rows("service").values()].filter(({ Node }) => Node === node));
}

/** Checks in the order of node and check. */
export function checksWhere(
  reader: Reader,
  wanted: (check: CheckRecord) => boolean,
): CheckRecord[] {
  const order = (check: CheckRecord) => rowKey(check.Node, check.CheckID);
  return [...reader.rows("check").values()]
    .filter(wanted)
    .sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

export function instancesOf(reader: Reader, name: string): Instance[] {
  return servicesOf(reader, name).flatMap((service) => {
    const node = reader.get("node", service.Node);
    if (node === undefined) return [];
    const onNode = checksWhere(reader, (check) => check.Node === service.Node);
    const checks = [
      ...onNode.filter((check) => check.ServiceID === ""),
      ...onNode.filter((check) => check.ServiceID === service.ID),
    ];
    return [{ node, service, checks }];
  });
}

export function putNode(tx: Transaction, entry: NodeEntry): void {
  const before = tx.get("node", entry.Node);
  const row = changed(tx, before, entry);
  if (row === null) return;
  tx.set("node", entry.Node, row);
  tx.set("index", "nodes", tx.index);
  for (const service of servicesOnNode(tx, entry.Node)) touchService(tx, service.Service);
}

export function putService(tx: Transaction, node: string, service: Service): void {
  const key = rowKey(node, service.ID);
  const before = tx.get("service", key);
  const row = changed(tx, before, { ...service, Node: node });
  if (row === null) return;
  tx.set("service", key, row);
  tx.set("index", "services", tx.index);
  touchService(tx, service.Service);
  if (before !== undefined && before.Service !== service.Service) leave(tx, before.Service);
}

/** Throws when the check's service is not on the node. */
export function putCheck(
  tx: Transaction,
  entry: Omit<Check, "ServiceName" | "ServiceTags">,
): CheckRecord | null {
  const service = tx.get("service", rowKey(entry.Node, entry.ServiceID));
  if (entry.ServiceID !== "" && service === undefined) {
    throw new ApiError(
      500,
      `failed inserting check: Missing service registration on node "${entry.Node}"`,
    );
  }
  const key = rowKey(entry.Node, entry.CheckID);
  const row = changed(tx, tx.get("check", key), {
    ...entry,
    ServiceName: service?.Service ?? "",
    ServiceTags: service?.Tags ?? [],
  });
  if (row === null) return null;
  tx.set("check", key, row);
  touchCheck(tx, row);
  return row;
}

/** Takes a node out of the catalog with all its services and checks. */
export function deleteNode(tx: Transaction, node: string): void {
  if (tx.get("node", node) === undefined) return;
  for (const service of servicesOnNode(tx, node)) deleteService(tx, node, service.ID);
  for (const check of checksWhere(tx, ({ Node }) => Node === node)) {
    deleteCheck(tx, node, check.CheckID);
  }
  tx.delete("node", node);
  tx.set("index", "nodes", tx.index);
}

/** Takes a service out of the catalog with its checks. */
export function deleteService(tx: Transaction, node: string, id: string): void {
  const service = tx.get("service", rowKey(node, id));
  if (service === undefined) return;
  const checks = checksWhere(tx, (check) => check.Node === node && check.ServiceID === id);
  for (const check of checks) deleteCheck(tx, node, check.CheckID);
  tx.delete("service", rowKey(node, id));
  tx.set("index", "services", tx.index);
  leave(tx, service.Service);
}

export function deleteCheck(tx: Transaction, node: string, id: string): void {
  const check = tx.get("check", rowKey(node, id));
  if (check === undefined) return;
  tx.delete("check", rowKey(node, id));
  touchCheck(tx, check);
}

function touchService(tx: Transaction, name: string): void {
  tx.set("index", serviceTopic(name), tx.index);
}

/** An instance left a service. Moves the index of the service on, or removes it with the last instance. */
function leave(tx: Transaction, name: string): void {
  if (servicesOf(tx, name).length > 0) {
    touchService(tx, name);
  } else {
    tx.delete("index", serviceTopic(name));
    tx.set("index", "extinction", tx.index);
  }
}

/** Moves the index of the service that a check belongs to; a check of the node moves all services on it. */
function touchCheck(tx: Transaction, check: CheckRecord): void {
  tx.set("index", "checks", tx.index);
  if (check.ServiceID !== "") {
    touchService(tx, check.ServiceName);
  } else {
    for (const service of servicesOnNode(tx, check.Node)) touchService(tx, service.Service);
  }
}

/** The new row with its indexes; `null` when nothing differs from the old one. */
function changed<T extends object>(
  tx: Transaction,
  before: (T & Indexed) | undefined,
  entry: T,
): (T & Indexed) | null {
  const row = {
    ...entry,
    CreateIndex: before?.CreateIndex ?? tx.index,
    ModifyIndex: before?.ModifyIndex ?? tx.index,
  };
  if (before !== undefined && same(before, row)) return null;
  return { ...row, ModifyIndex: tx.index };
}

/** Equal as JSON, whatever the order of the fields. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  if (Array.isArray(a) !== Array.isArray(b) || left.length !== right.size) return false;
  return left.every(([key, value]) => right.has(key) && same(value, right.get(key)));
}

function sorted(services: ServiceRecord[]): ServiceRecord[] {
  const order = (service: ServiceRecord) => rowKey(service.Node, service.ID);
  return services.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}
