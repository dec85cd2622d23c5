/**
 * The folder `live/` as its watch reads it: any change in it wakes the watch, which costs one name. The bells
 * that gateways ring (`gateway/documents/bell.ts`) then say which hosts changed, and only these are read. Where
 * no bell accounts for a change, the whole folder is read, and so it is now and then, whatever the bells say.
 */
import { bellFolder, hostsSince, readBell } from "../../gateway/documents/index.ts";
import { kinds } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import type { Clock } from "../watching/clock.ts";
import type { Answer, WatchQuery } from "../watching/watch.ts";
import { decodeItems, type KvItem, readKeys } from "./kv.ts";

/**
 * The whole reading finds a change that came at the same moment as another one, by a writer who rings no bell.
 */
const wholeEveryMs = 300_000;
/** Beyond, the folder is as cheap. */
const maxHosts = 64;
/** More bells than any gateways have; somebody else wrote them. */
const maxBells = 1_000;

interface Heard {
  /** `null`: it could not be read. */
  readonly count: number | null;
  readonly modifyIndex: number;
  /** When it changes, the bell was removed meanwhile and counts anew. */
  readonly createIndex: number | null;
}

interface News {
  readonly heard: ReadonlyMap<string, Heard>;
  /** Hosts that changed; `null`: nobody can say which. */
  readonly hosts: ReadonlySet<string> | null;
  /** The ModifyIndex of the bell that rang last. */
  readonly rang: number;
  /** That were read. */
  readonly bytes: number;
}

export class Agreements {
  readonly #consul: ConsulClient;
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #bells: string;
  /** By key, as of `#index`; `null`: the folder has to be read. */
  #items: Map<string, KvItem> | null = null;
  #index = 0;
  #heard: ReadonlyMap<string, Heard> = new Map();
  #wholeAtMs = 0;

  /** @param prefix of all keys. */
  constructor(consul: ConsulClient, prefix: string, clock: Clock) {
    this.#consul = consul;
    this.#clock = clock;
    this.#folder = `${prefix}${kinds.agreement.folder}`;
    this.#bells = `${prefix}${bellFolder}`;
  }

  /** The whole folder, once it has changed. Rejects as `ConsulClient.read` does. */
  async read(query: WatchQuery): Promise<Answer<readonly KvItem[]>> {
    // All keys of the folder fold into its own name, but the answer waits for any of them.
    const { index, body, filtered, bytes } = await this.#consul.read({
      path: "/kv/{key}",
      params: { key: this.#folder.slice(0, -1) },
      query: { keys: "true", separator: "/" },
      emptyWhenMissing: true,
      ...query,
    });
    const now = index ?? 0;
    const answer = (more: number) => {
      const value = [...(this.#items ?? new Map<string, KvItem>()).values()];
      return { index: now, value, filtered, bytes: bytes + more };
    };
    if (!Array.isArray(body) || !body.includes(this.#folder)) {
      this.#items = null;
      return answer(0);
    }
    const { signal } = query;
    const isDue = this.#clock.now() - this.#wholeAtMs >= wholeEveryMs;
    const before = this.#index;
    const mustRead = this.#items === null || now < before || isDue;
    if (!mustRead && now === before) return answer(0);
    const { heard, hosts, rang, bytes: told } = await this.#listen(signal);
    const isAccounted = hosts !== null && rang >= now && hosts.size <= maxHosts;
    const known = this.#items;
    const more =
      isAccounted && !mustRead ? await this.#readHosts(hosts, signal) : await this.#readAll(signal);
    this.#heard = heard;
    this.#index = now;
    const isNews = now === before && !isSame(known, this.#items);
    return { ...answer(told + more), ...(isNews ? { isNews: true as const } : {}) };
  }

  /** What is new in the bells since the last time. */
  async #listen(signal: AbortSignal): Promise<News> {
    const bells = await readKeys(this.#consul, this.#bells, { index: null, waitMs: 0, signal });
    const heard = new Map<string, Heard>();
    const hosts = new Set<string>();
    let isKnown = bells.value.length <= maxBells;
    let rang = 0;
    for (const item of bells.value.slice(0, maxBells)) {
      const { key, modifyIndex, createIndex } = item;
      const known = this.#heard.get(key);
      const before = known?.createIndex === createIndex ? known : undefined;
      if (before?.modifyIndex === modifyIndex) {
        heard.set(key, before);
        if (before.count !== null) rang = Math.max(rang, modifyIndex);
        continue;
      }
      const bell = readBell(key, Buffer.from(item.encoded ?? "", "base64").toString());
      heard.set(key, { count: bell?.count ?? null, modifyIndex, createIndex });
      // What a bell that nobody can read has said is found by the index of the folder.
      if (bell === null) continue;
      rang = Math.max(rang, modifyIndex);
      const since = before === undefined ? 0 : before.count;
      const news = since === null ? null : hostsSince(bell, since);
      if (news === null) isKnown = false;
      else for (const host of news) hosts.add(host);
    }
    return { heard, hosts: isKnown ? hosts : null, rang, bytes: bells.bytes };
  }

  /** Resolves to the bytes that were read. */
  async #readAll(signal: AbortSignal): Promise<number> {
    const all = await readKeys(this.#consul, this.#folder, { index: null, waitMs: 0, signal });
    this.#items = new Map(all.value.map((item) => [item.key, item]));
    this.#wholeAtMs = this.#clock.now();
    return all.bytes;
  }

  /** Resolves to the bytes that were read. */
  async #readHosts(hosts: ReadonlySet<string>, signal: AbortSignal): Promise<number> {
    const items = new Map(this.#items);
    let sum = 0;
    for (const host of hosts) {
      const key = `${this.#folder}${host}`;
      const { body, bytes } = await this.#consul.read({
        path: "/kv/{key}",
        params: { key },
        emptyWhenMissing: true,
        signal,
      });
      sum += bytes;
      const [item] = decodeItems(`${this.#consul.url}/v1/kv/${key}`, key, body);
      if (item === undefined) items.delete(key);
      else items.set(key, item);
    }
    this.#items = items;
    return sum;
  }
}

function isSame(
  a: ReadonlyMap<string, KvItem> | null,
  b: ReadonlyMap<string, KvItem> | null,
): boolean {
  if (a?.size !== b?.size) return false;
  for (const [key, { modifyIndex }] of a ?? []) {
    if (b?.get(key)?.modifyIndex !== modifyIndex) return false;
  }
  return true;
}
