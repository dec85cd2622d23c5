/** The endpoints under `/v1/session/`. */
import { ApiError } from "./api-error.ts";
import type { BlockingQueries } from "./blocking.ts";
import { bodies, parseBody } from "./bodies.ts";
import { type ApiRequest, answerQuery, json, need, type Route } from "./http.ts";
import { requireSessionId } from "./kv.ts";
import type { SessionRecord } from "./records.ts";
import type { Sessions } from "./sessions.ts";
import type { Store } from "./store.ts";

export function sessionRoutes(
  store: Store,
  queries: BlockingQueries,
  sessions: Sessions,
  node: string,
): Route[] {
  const list = (request: ApiRequest, wanted: (session: SessionRecord) => boolean) => {
    const run = () => {
      const found = [...store.rows("session").values()].filter(wanted);
      found.sort((a, b) => (a.ID < b.ID ? -1 : 1));
      return { index: sessionsIndex(store), value: found };
    };
    return answerQuery(queries, request, { topics: ["sessions"], run }, json);
  };
  return [
    { path: "/v1/session/create", methods: { PUT: ({ body }) => json({ ID: create(body) }) } },
    {
      path: "/v1/session/destroy/",
      methods: {
        PUT: ({ rest }) => {
          sessions.destroy(need(rest, "Missing session"));
          return json(true);
        },
      },
    },
    {
      path: "/v1/session/renew/",
      methods: {
        PUT: ({ rest }) => {
          const session = sessions.renew(need(rest, "Missing session"));
          if (session === null) throw new ApiError(404, `Session id '${rest}' not found`);
          return json([session]);
        },
      },
    },
    {
      path: "/v1/session/info/",
      methods: {
        GET: (request) => {
          const id = need(request.rest, "Missing session");
          requireSessionId(id);
          const run = () => {
            const session = store.get("session", id);
            const index = session?.ModifyIndex ?? sessionsIndex(store);
            return { index, value: session === undefined ? [] : [session] };
          };
          return answerQuery(queries, request, { topics: [`session:${id}`], run }, json);
        },
      },
    },
    { path: "/v1/session/list", methods: { GET: (request) => list(request, () => true) } },
    {
      path: "/v1/session/node/",
      methods: {
        GET: (request) => {
          const name = need(request.rest, "Missing node name");
          return list(request, ({ Node }) => Node === name);
        },
      },
    },
  ];

  function create(body: Buffer): string {
    const request = parseBody(bodies.session, body.length === 0 ? Buffer.from("{}") : body);
    return sessions.create({
      name: request.Name,
      node: request.Node ?? node,
      lockDelayMs: request.LockDelay,
      behavior: request.Behavior,
      ttl: request.TTL,
      nodeChecks: request.NodeChecks ?? request.Checks ?? ["serfHealth"],
      serviceChecks: null,
    });
  }
}

function sessionsIndex(store: Store): number {
  return Math.max(1, store.get("index", "sessions") ?? 0);
}
