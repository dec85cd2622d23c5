/** The endpoints under `/v1/kv/` and `/v1/txn`. */
import { ApiError } from "./api-error.ts";
import type { BlockingQueries } from "./blocking.ts";
import { bodies, parseBody } from "./bodies.ts";
import {
  type Answer,
  type ApiRequest,
  answerQuery,
  json,
  leaderHeaders,
  missing,
  need,
  type Route,
} from "./http.ts";
import {
  casKey,
  deleteKey,
  deleteKeyCas,
  deletePrefix,
  foldKeys,
  getKey,
  type KvList,
  listKeys,
  lockKey,
  setKey,
  unlockKey,
} from "./kv.ts";
import { readsOnly, runTxn } from "./kv-txn.ts";
import type { KvRecord } from "./records.ts";
import type { Sessions } from "./sessions.ts";
import type { Store } from "./store.ts";

/** Consul's `kv_max_value_size`. */
const maxValueBytes = 512 * 1024;
const mostOperations = 64;

export function kvRoutes(store: Store, queries: BlockingQueries, sessions: Sessions): Route[] {
  return [
    {
      path: "/v1/kv/",
      maxBodyBytes: maxValueBytes,
      methods: {
        GET: (request) => read(store, queries, request),
        PUT: (request) => json(put(store, sessions, request)),
        DELETE: (request) => json(remove(store, request)),
      },
    },
    {
      path: "/v1/txn",
      maxBodyBytes: maxValueBytes,
      methods: { PUT: (request) => transact(store, sessions, request) },
    },
  ];
}

function read(store: Store, queries: BlockingQueries, request: ApiRequest) {
  const { rest: key, query } = request;
  const keys = query.has("keys");
  if (keys || query.has("recurse")) {
    const list = {
      topics: [`kvs:${key}`],
      run: () => {
        const value = listKeys(store, key);
        return { index: value.index, value };
      },
    };
    const separator = query.get("separator") ?? "";
    return answerQuery(queries, request, list, (found) =>
      keys ? presentKeys(found, key, separator) : presentTree(found),
    );
  }
  need(key, "Missing key name");
  const one = {
    topics: [`kv:${key}`],
    run: () => {
      const { index, entry } = getKey(store, key);
      return { index, value: entry };
    },
  };
  return answerQuery(queries, request, one, (entry) =>
    entry === null ? missing() : query.has("raw") ? presentRaw(entry) : json([entry]),
  );
}

function presentTree({ entries }: KvList): Answer {
  return entries.length === 0 ? missing() : json(entries);
}

/** No key below the root is an empty list, below any other prefix it is a 404. */
function presentKeys({ entries }: KvList, prefix: string, separator: string): Answer {
  if (entries.length === 0 && prefix !== "") return missing();
  return json(
    foldKeys(
      entries.map(({ Key }) => Key),
      prefix,
      separator,
    ),
  );
}

function presentRaw({ Value }: KvRecord): Answer {
  const headers = {
    "Content-Type": "text/plain",
    "Content-Security-Policy": "sandbox",
    "X-Content-Type-Options": "nosniff",
  };
  return { status: 200, headers, body: { bytes: Buffer.from(Value ?? "", "base64") } };
}

function put(store: Store, sessions: Sessions, { rest, query, body }: ApiRequest): boolean {
  const key = need(rest, "Missing key name");
  refuseConflict(query, ["cas", "acquire", "release"]);
  const flags = readNumber(query, "flags") ?? 0;
  const value = { key, flags, value: body.length === 0 ? null : body.toString("base64") };
  const cas = readNumber(query, "cas");
  const acquire = query.get("acquire");
  const release = query.get("release");
  return store.commit((tx) => {
    if (cas !== null) return casKey(tx, value, cas) !== null;
    if (acquire) return sessions.mayLock(key) && lockKey(tx, value, acquire) !== null;
    if (release) return unlockKey(tx, value, release) !== null;
    setKey(tx, value);
    return true;
  });
}

function remove(store: Store, { rest: key, query }: ApiRequest): boolean {
  refuseConflict(query, ["recurse", "cas"]);
  if (query.has("recurse")) {
    store.commit((tx) => deletePrefix(tx, key));
    return true;
  }
  need(key, "Missing key name");
  const cas = readNumber(query, "cas");
  return store.commit((tx) => {
    if (cas !== null) return deleteKeyCas(tx, key, cas);
    deleteKey(tx, key);
    return true;
  });
}

function transact(store: Store, sessions: Sessions, { body }: ApiRequest): Answer {
  const operations = parseBody(bodies.txn, body).map(({ KV }) => ({
    verb: KV.Verb,
    key: KV.Key,
    value: KV.Value === "" ? null : KV.Value,
    flags: KV.Flags,
    index: KV.Index,
    session: KV.Session,
  }));
  if (operations.length > mostOperations) {
    throw new ApiError(
      413,
      `Transaction contains too many operations (${operations.length} > ${mostOperations})`,
    );
  }
  const outcome = runTxn(store, operations, (key) => sessions.mayLock(key));
  const status = outcome.Errors === null ? 200 : 409;
  if (!readsOnly(operations)) return { ...json(outcome), status };
  const read = { Index: 0, LastContact: 0, KnownLeader: true, ConsistencyLevel: "" };
  return { ...json({ ...outcome, ...read }), status, headers: leaderHeaders };
}

function refuseConflict(query: URLSearchParams, names: readonly string[]): void {
  const given = names.filter((name) => query.has(name));
  if (given.length < 2) return;
  const flags = given.map((name) => `${name}=${query.get(name)}`).sort();
  throw new ApiError(400, `Conflicting flags: ${flags.join("&")}`);
}

function readNumber(query: URLSearchParams, name: string): number | null {
  const text = query.get(name);
  if (text === null) return null;
  const value = Number(text);
  // Above 2^53 a number is no longer exact here; refused rather than changed.
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new ApiError(500, `${name}: parsing "${text}": invalid syntax`);
  }
  return value;
}
