/**
 * What a listener exposes of the services in Consul, and what a service says of itself by its tags. Names
 * alone are the matter here: a document or a script may send requests to any service.
 */

/**
 * `documents`: hosts that a document or a script answers. `tagged`: also services with a tag that asks for it,
 * by their names. `all`: every service by its name.
 */
export type Exposure = (typeof exposures)[number];
export const exposures = ["documents", "tagged", "all"] as const;

/** The least that a listener must expose for a service to be reached by its name; `never`: on none. */
export type Reach = "tagged" | "all" | "never";

/** Consul's own: its API and its servers are nobody's business but the operator's. */
const consulService = "consul";
/**
 * What asks to be exposed: Sluice's own tags, any of fabio's (fabio documentation, "Quickstart", `urlprefix-`), and
 * Traefik's (Traefik documentation, "Consul Catalog", `traefik.enable`).
 */
const asking = /^(sluice|sluice\.enable=true|urlprefix-.*|traefik\.enable=true)$/i;
const refusing = /^sluice\.enable=false$/i;

export function reachOf(name: string, tags: readonly string[]): Reach {
  if (name === consulService || tags.some((tag) => refusing.test(tag))) return "never";
  return tags.some((tag) => asking.test(tag)) ? "tagged" : "all";
}

export function isExposed(reach: Reach, exposes: Exposure): boolean {
  if (exposes === "documents" || reach === "never") return false;
  return exposes === "all" || reach === "tagged";
}
