/** The endpoints under `/v1/catalog/` and `/v1/health/`. */
import { ApiError } from "./api-error.ts";
import type { BlockingQueries, Query } from "./blocking.ts";
import { bodies, parseBody } from "./bodies.ts";
import {
  checksWhere,
  deleteCheck,
  deleteNode,
  deleteService,
  type Instance,
  instancesOf,
  putCheck,
  putNode,
  putService,
  serviceIndex,
  servicesOnNode,
  serviceTopic,
  tableIndex,
} from "./catalog.ts";
import { type Answer, type ApiRequest, answerQuery, json, need, type Route } from "./http.ts";
import {
  presentCheck,
  presentInstance,
  presentNode,
  presentService,
  presentServiceNode,
} from "./presentation.ts";
import type { CheckRecord } from "./records.ts";
import { readStatus, serviceFrom } from "./registration.ts";
import type { Sessions } from "./sessions.ts";
import type { Store } from "./store.ts";

export function catalogRoutes(
  store: Store,
  queries: BlockingQueries,
  sessions: Sessions,
  datacenter: string,
): Route[] {
  const get = (path: string, answer: (request: ApiRequest) => Answer | Promise<Answer | null>) => ({
    path,
    methods: { GET: answer },
  });
  const tables = <T>(
    names: readonly ("nodes" | "services" | "checks")[],
    value: () => T,
  ): Query<T> => ({
    topics: names,
    run: () => ({ index: tableIndex(store, ...names), value: value() }),
  });
  const instances = (name: string): Query<readonly Instance[]> => ({
    topics: [serviceTopic(name)],
    run: () => ({ index: serviceIndex(store, name), value: instancesOf(store, name) }),
  });
  const checks = (request: ApiRequest, wanted: (check: CheckRecord) => boolean) =>
    answerQuery(
      queries,
      request,
      tables(["checks"], () => checksWhere(store, wanted)),
      (found) => json(found.map(presentCheck)),
    );

  return [
    get("/v1/catalog/datacenters", () => json([datacenter])),
    get("/v1/catalog/nodes", (request) =>
      answerQuery(
        queries,
        request,
        tables(["nodes"], () => [...store.rows("node").values()]),
        (nodes) =>
          json(
            nodes
              .sort((a, b) => (a.Node < b.Node ? -1 : 1))
              .map((node) => presentNode(node, datacenter)),
          ),
      ),
    ),
    get("/v1/catalog/services", (request) =>
      answerQuery(
        queries,
        request,
        tables(["services"], () => tagsByService(store)),
        json,
      ),
    ),
    get("/v1/catalog/service/", (request) => {
      const name = need(request.rest, "Missing service name");
      return answerQuery(queries, request, instances(name), (found) =>
        json(
          withTags(found, request.query).map((instance) =>
            presentServiceNode(instance, datacenter),
          ),
        ),
      );
    }),
    get("/v1/catalog/node/", (request) => {
      const name = need(request.rest, "Missing node name");
      const query = {
        topics: ["nodes", "services"],
        run: () => {
          const node = store.get("node", name);
          if (node === undefined) return { index: 1, value: null };
          const services = servicesOnNode(store, name).map((service) => [
            service.ID,
            presentService(service),
          ]);
          const value = {
            Node: presentNode(node, datacenter),
            Services: Object.fromEntries(services),
          };
          return { index: tableIndex(store, "nodes", "services"), value };
        },
      };
      return answerQuery(queries, request, query, json);
    }),
    { path: "/v1/catalog/register", methods: { PUT: ({ body }) => register(body) } },
    { path: "/v1/catalog/deregister", methods: { PUT: ({ body }) => deregister(body) } },
    get("/v1/health/service/", (request) => {
      const name = need(request.rest, "Missing service name");
      const passing = readPassing(request.query);
      return answerQuery(queries, request, instances(name), (found) =>
        json(
          withTags(found, request.query)
            .filter((instance) => !passing || instance.checks.every(isPassing))
            .map((instance) => presentInstance(instance, datacenter)),
        ),
      );
    }),
    get("/v1/health/checks/", (request) => {
      const name = need(request.rest, "Missing service name");
      const query = {
        topics: [serviceTopic(name)],
        run: () => ({
          index: serviceIndex(store, name),
          value: checksWhere(store, ({ ServiceName }) => ServiceName === name),
        }),
      };
      return answerQuery(queries, request, query, (found) => json(found.map(presentCheck)));
    }),
    get("/v1/health/node/", (request) => {
      const name = need(request.rest, "Missing node name");
      return checks(request, ({ Node }) => Node === name);
    }),
    get("/v1/health/state/", (request) => {
      const state = need(request.rest, "Missing check state");
      return checks(request, ({ Status }) => state === "any" || Status === state);
    }),
  ];

  function register(body: Buffer): Answer {
    const given = parseBody(bodies.catalogRegistration, body);
    requireOwn(given.Datacenter);
    if (given.Node === "") throw new ApiError(500, "Must provide node");
    if (given.Address === "" && !given.SkipNodeUpdate) {
      throw new ApiError(500, "Must provide address if SkipNodeUpdate is not set");
    }
    store.commit((tx) => {
      const known = tx.get("node", given.Node);
      if (!given.SkipNodeUpdate || known === undefined) {
        putNode(tx, {
          ID: given.ID || known?.ID || "",
          Node: given.Node,
          Address: given.Address,
          TaggedAddresses: given.TaggedAddresses ?? null,
          Meta: given.NodeMeta ?? null,
        });
      }
      if (given.Service !== undefined) {
        const { Service: name, ...fields } = given.Service;
        if (name === "") throw new ApiError(500, "Must provide service name with ID");
        putService(tx, given.Node, serviceFrom(name, fields));
      }
      const checks = given.Check === undefined ? given.Checks : [given.Check, ...given.Checks];
      for (const check of checks) {
        const { Node, CheckID, Definition: _, ServiceName: __, Status, ...rest } = check;
        putCheck(tx, {
          ...rest,
          Node: Node || given.Node,
          CheckID: CheckID || rest.Name,
          Status: readStatus(Status, "Check.Status") ?? "critical",
        });
      }
    });
    sessions.review();
    return json(true);
  }

  function deregister(body: Buffer): Answer {
    const given = parseBody(bodies.catalogDeregistration, body);
    requireOwn(given.Datacenter);
    if (given.Node === "") throw new ApiError(500, "Must provide node");
    store.commit((tx) => {
      if (given.ServiceID !== "") deleteService(tx, given.Node, given.ServiceID);
      else if (given.CheckID !== "") deleteCheck(tx, given.Node, given.CheckID);
      else deleteNode(tx, given.Node);
    });
    sessions.review();
    return json(true);
  }

  function requireOwn(given: string): void {
    if (given !== "" && given !== datacenter) throw new ApiError(500, "No path to datacenter");
  }
}

/** Every name with the tags of all its instances. */
function tagsByService(store: Store): Readonly<Record<string, readonly string[]>> {
  const tags = new Map<string, Set<string>>();
  for (const { Service, Tags } of store.rows("service").values()) {
    const all = tags.get(Service) ?? new Set();
    for (const tag of Tags) all.add(tag);
    tags.set(Service, all);
  }
  const sorted = [...tags].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, all]) => [name, [...all]]));
}

/** Instances that have every tag that is asked for, in any case. */
function withTags(instances: readonly Instance[], query: URLSearchParams): readonly Instance[] {
  const wanted = query.getAll("tag").map((tag) => tag.toLowerCase());
  return instances.filter(({ service }) => {
    const tags = service.Tags.map((tag) => tag.toLowerCase());
    return wanted.every((tag) => tags.includes(tag));
  });
}

function isPassing({ Status }: CheckRecord): boolean {
  return Status === "passing";
}

function readPassing(query: URLSearchParams): boolean {
  const text = query.get("passing");
  if (text === null) return false;
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new ApiError(400, "Invalid value for ?passing");
}
