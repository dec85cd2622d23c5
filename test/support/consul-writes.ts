/** What operators and services write into Consul, by its HTTP API. */

export interface Registration {
  readonly id?: string;
  readonly name: string;
  readonly port: number;
  readonly tags?: readonly string[];
  readonly weight?: number;
  readonly meta?: Readonly<Record<string, string>>;
}

export interface ConsulWrites {
  /** A key under `sluice/`; objects are written as JSON. */
  put(key: string, value: string | object): Promise<void>;
  /** Writes many keys, in transactions of 64. */
  putAll(entries: readonly (readonly [key: string, value: string | object])[]): Promise<void>;
  /** As `put`, held by a new session, as the gateways' own keys are. */
  hold(key: string, value: string | object): Promise<void>;
  remove(key: string): Promise<void>;
  register(service: Registration): Promise<void>;
  deregister(id: string): Promise<void>;
}

/** The most operations that Consul takes in one transaction. */
const transactionSize = 64;

/** Every call rejects when Consul refuses it. */
export function writesTo(url: string, token: string | null = null): ConsulWrites {
  const headers: Record<string, string> = token === null ? {} : { "x-consul-token": token };
  async function send(method: string, path: string, body?: string): Promise<string> {
    const answer = await fetch(`${url}/v1${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    const text = await answer.text();
    if (!answer.ok || text.trim() === "false")
      throw new Error(`${method} ${path}: ${answer.status} ${text.trim()}`);
    return text;
  }
  const asText = (value: string | object) =>
    typeof value === "string" ? value : JSON.stringify(value);
  return {
    async put(key, value) {
      await send("PUT", `/kv/sluice/${key}`, asText(value));
    },
    async hold(key, value) {
      const created = await send("PUT", "/session/create", '{"TTL":"60s","Behavior":"delete"}');
      const { ID } = JSON.parse(created) as { readonly ID: string };
      await send("PUT", `/kv/sluice/${key}?acquire=${ID}`, asText(value));
    },
    async putAll(entries) {
      for (let at = 0; at < entries.length; at += transactionSize) {
        const operations = entries.slice(at, at + transactionSize).map(([key, value]) => ({
          KV: {
            Verb: "set",
            Key: `sluice/${key}`,
            Value: Buffer.from(asText(value)).toString("base64"),
          },
        }));
        await send("PUT", "/txn", JSON.stringify(operations));
      }
    },
    async remove(key) {
      await send("DELETE", `/kv/sluice/${key}`);
    },
    async register({ id, name, port, tags = [], weight, meta }) {
      await send(
        "PUT",
        "/agent/service/register",
        JSON.stringify({
          ID: id ?? name,
          Name: name,
          Address: "127.0.0.1",
          Port: port,
          Tags: tags,
          ...(meta === undefined ? {} : { Meta: meta }),
          ...(weight === undefined ? {} : { Weights: { Passing: weight, Warning: 1 } }),
        }),
      );
    },
    async deregister(id) {
      await send("PUT", `/agent/service/deregister/${encodeURIComponent(id)}`);
    },
  };
}
