/** `GET /v1/kv/<prefix>?recurse` as typed items. Values stay encoded until somebody wants them. */

import type { ConsulClient } from "../api/client.ts";
import { ConsulError } from "../api/errors.ts";
import type { Answer, WatchQuery } from "../watching/watch.ts";

export interface KvItem {
  /** The whole key. */
  readonly key: string;
  readonly modifyIndex: number;
  /** Stays the same until the key is deleted; `null` when Consul does not say. */
  readonly createIndex: number | null;
  /** Base64, as Consul sends it; `null` for an empty value. */
  readonly encoded: string | null;
  /** The session that holds the key; `null`: none does. */
  readonly session: string | null;
}

/** Every key below `prefix`. A 404 means that there is none (KV Store API page, "Read Key"). */
export async function readKeys(
  consul: ConsulClient,
  prefix: string,
  query: WatchQuery,
): Promise<Answer<readonly KvItem[]>> {
  const { index, body, ...rest } = await consul.read({
    path: "/kv/{key}",
    params: { key: prefix },
    query: { recurse: "true" },
    emptyWhenMissing: true,
    ...query,
  });
  return {
    index: index ?? 0,
    value: decodeItems(`${consul.url}/v1/kv/${prefix}`, prefix, body),
    ...rest,
  };
}

/** `null` is the body of a 404. Throws when any item is no KV entry: half an answer is none. */
export function decodeItems(where: string, prefix: string, body: unknown): readonly KvItem[] {
  if (body === null) return [];
  const bad = (problem: string) => new ConsulError("bad_answer", `${where}: ${problem}`);
  if (!Array.isArray(body)) throw bad("the answer is no list of keys");
  return body.map((item: unknown) => {
    if (typeof item !== "object" || item === null)
      throw bad("the answer has an entry that is no key");
    const fields = item as Record<string, unknown>;
    const { Key: key, ModifyIndex: modifyIndex, Value: encoded } = fields;
    const createIndex = typeof fields.CreateIndex === "number" ? fields.CreateIndex : null;
    const session = typeof fields.Session === "string" ? fields.Session : null;
    if (typeof key !== "string" || !key.startsWith(prefix))
      throw bad("the answer has a key that was not asked for");
    if (typeof modifyIndex !== "number" || !Number.isSafeInteger(modifyIndex))
      throw bad(`the answer has no ModifyIndex for ${key}`);
    if (encoded !== null && typeof encoded !== "string")
      throw bad(`the answer has no Value for ${key}`);
    return { key, modifyIndex, createIndex, encoded, session };
  });
}
