/** The host documents of one version: an exact name first, then the longest `*.` wildcard. */
import { type HostDocument, HostIndex } from "../model/index.ts";
import { HostRules } from "./host-rules.ts";

export class Hosts {
  static readonly empty: Hosts = new Hosts(new Map());

  readonly #rules: ReadonlyMap<string, HostRules>;
  readonly #index: HostIndex<HostRules>;

  private constructor(rules: ReadonlyMap<string, HostRules>) {
    this.#rules = rules;
    this.#index = new HostIndex(rules);
  }

  /** How many documents there are. */
  get size(): number {
    return this.#rules.size;
  }

  /**
   * The rules of the site `name`, or of the longest wildcard over `host`, which differs from it for a service;
   * `null` when there are none. Allocates nothing.
   */
  find(name: string, host: string): HostRules | null {
    return this.#index.find(name, host);
  }

  /**
   * The hosts of `documents`, sharing the rules of those that are the same objects as here. With
   * `changed`, only these keys are looked at; `this` itself when there are none.
   */
  next(documents: ReadonlyMap<string, HostDocument>, changed: ReadonlySet<string> | null): Hosts {
    if (changed?.size === 0) return this;
    const rules = new Map(changed === null ? [] : this.#rules);
    for (const host of changed ?? documents.keys()) {
      const document = documents.get(host);
      const known = this.#rules.get(host);
      if (document === undefined) rules.delete(host);
      else rules.set(host, known?.document === document ? known : new HostRules(host, document));
    }
    return new Hosts(rules);
  }
}
