/** The account with an authority, which all gateways share: `acme/accounts/<id>` in Consul KV, its key sealed. */
import { createHash, generateKeyPairSync } from "node:crypto";
import * as z from "zod";
import { checkDocument, parseJson } from "../../documents/index.ts";
import type { Kv } from "../../releases/index.ts";
import { seal, unseal } from "../../sealing.ts";

export interface Account {
  /** PEM. */
  readonly key: string;
  /** The authority's name for it; `null`: it knows nothing of it yet. */
  readonly url: string | null;
}

const schema = z.object({
  directory: z.string().max(2_000),
  url: z.url().max(2_000).nullable(),
  key: z.string().max(16_384).optional(),
  sealed_key: z.string().max(65_536).optional(),
});

export class AccountStore {
  readonly #kv: Pick<Kv, "get" | "put">;
  readonly #directory: string;
  readonly #name: string;
  readonly #key: string;
  readonly #sealingKey: Buffer | null;

  /** `prefix`: of all keys. `sealingKey`: `null` when keys are written in clear. */
  constructor(
    kv: Pick<Kv, "get" | "put">,
    prefix: string,
    directory: string,
    sealingKey: Buffer | null,
  ) {
    this.#kv = kv;
    this.#directory = directory;
    const id = createHash("sha256").update(directory).digest("hex").slice(0, 16);
    this.#name = `acme/accounts/${id}`;
    this.#key = prefix + this.#name;
    this.#sealingKey = sealingKey;
  }

  /** Makes a key where there is none. Rejects when the one that is there cannot be used: it is never replaced. */
  async find(): Promise<Account> {
    const known = await this.#kv.get(this.#key);
    if (known !== null) return this.#read(known.text);
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await this.#kv.put(this.#key, this.#format({ key, url: null }), { cas: 0 });
    // The key of the gateway that was first.
    const agreed = await this.#kv.get(this.#key);
    if (agreed === null) throw new Error(`${this.#key}: Consul has not kept it`);
    return this.#read(agreed.text);
  }

  /** Notes what the authority calls the account; `null`: it no longer knows it. */
  async name(account: Account, url: string | null): Promise<void> {
    const known = await this.#kv.get(this.#key);
    if (known === null || this.#read(known.text).key !== account.key) return;
    await this.#kv.put(this.#key, this.#format({ key: account.key, url }), {
      cas: known.modifyIndex,
    });
  }

  #format({ key, url }: Account): string {
    const secret =
      this.#sealingKey === null ? { key } : { sealed_key: seal(this.#sealingKey, this.#name, key) };
    return JSON.stringify({ directory: this.#directory, url, ...secret }, null, 2);
  }

  #read(text: string): Account {
    const { key, sealed_key, url } = checkDocument(
      this.#key,
      parseJson(this.#key, text),
      schema,
      true,
    );
    const opened =
      key ??
      (this.#sealingKey === null ? null : unseal(this.#sealingKey, this.#name, sealed_key ?? ""));
    if (opened === null)
      throw new Error(`${this.#key}: its key cannot be opened with --certificate-key-file`);
    return { key: opened, url };
  }
}
