/**
 * Routes streams by the current version: to the upstream that a listener names, or to the host that a client asks
 * for.
 */
import type { Exposure, ListenerTerms } from "../model/index.ts";
import type { Router } from "../sites/index.ts";
import type { Route, Routes } from "../streams/index.ts";
import type { HiddenServices } from "./hidden-services.ts";

const header = () => undefined;

export class StreamRoutes implements Routes {
  readonly #router: () => Router;
  readonly #hidden: Pick<HiddenServices, "note">;

  /** `router`: returns the current version's router. */
  constructor(router: () => Router, hidden: Pick<HiddenServices, "note">) {
    this.#router = router;
    this.#hidden = hidden;
  }

  upstream(name: string): Route {
    const router = this.#router();
    const upstream = router.upstream(name);
    if (upstream !== null) return { upstream };
    const awaited = router.missing.unwatchedUpstream(name);
    return awaited === null ? { why: router.missing.explainUpstream(name) } : { awaited };
  }

  host(name: string, clientAddress: string, { exposes }: Pick<ListenerTerms, "exposes">): Route {
    const router = this.#router();
    const site = router.site(name);
    // A stream has only a name and a client: it has nothing else that a rule could ask for.
    const request = { host: name, path: "/", query: "", method: "", clientAddress, header };
    const upstream = router.resolve(site, request, exposes, {
      rule: null,
      routedBy: null,
      side: null,
    });
    if (upstream !== null) return { upstream };
    const awaited = router.missing.unwatched(site, request, exposes);
    if (awaited !== null) return { awaited };
    this.#noteHidden(router, name, exposes);
    return { why: router.missing.explain(site, request, exposes) };
  }

  #noteHidden(router: Router, name: string, exposes: Exposure): void {
    const hidden = router.missing.hidden(router.site(name), exposes);
    if (hidden !== null) this.#hidden.note(hidden, name);
  }
}
