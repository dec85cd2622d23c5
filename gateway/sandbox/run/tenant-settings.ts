/** The settings as the scripts of each tenant see them, brought up to date in place. */
import type { Json, Tenants } from "../../model/index.ts";
import type { Settings } from "./script-isolate.ts";

/** Without one of these a text reaches no setting: an identifier may be written with an escape. */
const inSight = /settings|globalThis|\\u/;

/** Whether a script or a module may read settings. What cannot does not pay for them, however large they are. */
export function seesSettings(text: string): boolean {
  return inSight.test(text);
}

interface View {
  version: number;
  json: string;
}

export class TenantSettings {
  readonly #tenants: Tenants | null;
  #settings: ReadonlyMap<string, Json> = new Map();
  readonly #views = new Map<string, View>();

  /** `null`: there is one tenant, who sees all. */
  constructor(tenants: Tenants | null) {
    this.#tenants = tenants;
  }

  /** The same object as long as there is a gateway; it says by its `version` that it has changed. */
  of(tenant: string): Settings {
    let view = this.#views.get(tenant);
    if (view === undefined) {
      view = { version: 0, json: this.#jsonFor(tenant) };
      this.#views.set(tenant, view);
    }
    return view;
  }

  take(settings: ReadonlyMap<string, Json>): void {
    if (settings === this.#settings) return;
    this.#settings = settings;
    for (const [tenant, view] of this.#views) {
      const json = this.#jsonFor(tenant);
      if (json === view.json) continue;
      view.json = json;
      view.version += 1;
    }
  }

  #jsonFor(tenant: string): string {
    const seen = this.#tenants?.settingsOf(tenant, this.#settings) ?? this.#settings;
    return JSON.stringify(Object.fromEntries(seen));
  }
}
