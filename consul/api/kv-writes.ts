/**
 * Keys in Consul KV read and written one at a time, with check-and-set: for what the gateway itself
 * keeps there and for what an operator's command puts there. Watches nothing and retries nothing.
 *
 * Source: Consul's API pages "KV Store" and "Transactions".
 */

import { decodeItems, type KvItem } from "../keys/kv.ts";
import { answerWithinMs, deadline, transact } from "./calls.ts";
import type { ConsulClient } from "./client.ts";
import { ConsulError, describeConsulError } from "./errors.ts";

export interface KvEntry {
  /** The whole key. */
  readonly key: string;
  readonly text: string;
  readonly modifyIndex: number;
  /** The session that holds the key; `null`: none does. */
  readonly session: string | null;
}

/** One write of a transaction, made only while the key's ModifyIndex is `cas`; 0: there is no such key. */
export type KvWrite =
  | { readonly key: string; readonly text: string; readonly cas: number }
  | { readonly key: string; readonly text: null; readonly cas: number };

/** As the watches read a text: without the mark that some editors put before it. */
const utf8 = new TextDecoder();

export class KvStore {
  readonly #consul: ConsulClient;

  constructor(consul: ConsulClient) {
    this.#consul = consul;
  }

  /** `null`: there is no such key. Rejects with a `ConsulError`. */
  async get(key: string): Promise<KvEntry | null> {
    const [entry] = await this.#read(key, { consistent: "" });
    return entry ?? null;
  }

  /** Every key below `prefix` with its text. Rejects with a `ConsulError`. */
  list(prefix: string): Promise<readonly KvEntry[]> {
    return this.#read(prefix, { recurse: "true" });
  }

  /** The names of the keys below `prefix`. Rejects with a `ConsulError`. */
  keys(prefix: string): Promise<readonly string[]> {
    return this.#names(prefix, { keys: "true" });
  }

  /** The names directly below `prefix`; of a folder once, with a slash at its end. Rejects with a `ConsulError`. */
  folders(prefix: string): Promise<readonly string[]> {
    return this.#names(prefix, { keys: "true", separator: "/" });
  }

  async #names(
    prefix: string,
    query: Readonly<Record<string, string>>,
  ): Promise<readonly string[]> {
    const { body } = await this.#consul.read({
      path: "/kv/{key}",
      params: { key: prefix },
      query,
      emptyWhenMissing: true,
      withinMs: answerWithinMs,
    });
    if (body === null) return [];
    const isName = (key: unknown) => typeof key === "string" && key.startsWith(prefix);
    if (Array.isArray(body) && body.every(isName)) return body;
    const where = `${this.#consul.url}/v1/kv/${prefix}?keys`;
    throw new ConsulError("bad_answer", `${where}: the answer is no list of keys`);
  }

  /**
   * Writes `key`; with `cas`, only while its ModifyIndex is that (0: while there is no such key).
   * Resolves to false when it is another one. Rejects with a `ConsulError`.
   */
  async put(key: string, text: string, options: { readonly cas?: number } = {}): Promise<boolean> {
    const { cas } = options;
    const which = cas === undefined ? {} : { cas };
    return this.#write(key, () =>
      this.#consul.api.kv.set({ key, value: text, ...which, ...deadline }),
    );
  }

  /** Also resolves when there is no such key. Rejects with a `ConsulError`. */
  async remove(key: string): Promise<void> {
    await this.#write(key, () => this.#consul.api.kv.del({ key, ...deadline }));
  }

  /** All writes or none. Resolves to false when any key is not as expected. Rejects with a `ConsulError`. */
  async transact(writes: readonly KvWrite[]): Promise<boolean> {
    const operations = writes.map(({ key, text, cas }) => ({
      KV: {
        ...{ Key: key, Index: cas },
        ...(text === null
          ? { Verb: "delete-cas" as const }
          : { Verb: "cas" as const, Value: Buffer.from(text).toString("base64") }),
      },
    }));
    const where = writes.map(({ key }) => key).join(", ");
    try {
      await transact(this.#consul, operations);
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw asConsulError(`writing ${where}`, error);
    }
  }

  async #read(key: string, query: Readonly<Record<string, string>>): Promise<readonly KvEntry[]> {
    const { body } = await this.#consul.read({
      path: "/kv/{key}",
      params: { key },
      query,
      emptyWhenMissing: true,
      withinMs: answerWithinMs,
    });
    return decodeItems(`${this.#consul.url}/v1/kv/${key}`, key, body).map(asEntry);
  }

  async #write(key: string, send: () => Promise<unknown>): Promise<boolean> {
    try {
      // The client makes nothing of Consul's `false`.
      return (await send()) === true;
    } catch (error) {
      throw asConsulError(`writing ${key}`, error);
    }
  }
}

function asEntry({ key, encoded, modifyIndex, session }: KvItem): KvEntry {
  return { key, text: utf8.decode(Buffer.from(encoded ?? "", "base64")), modifyIndex, session };
}

/** Consul answers 409 for a lost race and for a write that is not allowed alike. */
function isConflict(error: unknown): boolean {
  if (!(error instanceof Error && "response" in error)) return false;
  const { response } = error;
  if (typeof response !== "object" || response === null) return false;
  const { statusCode, body } = response as { statusCode?: unknown; body?: unknown };
  const said = typeof body === "string" ? body : JSON.stringify(body ?? "");
  return statusCode === 409 && !/permission denied|ACL not found/i.test(said);
}

function asConsulError(what: string, error: unknown): ConsulError {
  if (error instanceof ConsulError) return error;
  return new ConsulError("status", `${what}: ${describeConsulError(error)}`, 0, error);
}
