/**
 * Which of Consul's services a listener exposes by their names, and what a service says about that in its tags. It
 * concerns only requests by a service's name: a document or a script may send requests to any service.
 */

/**
 * `documents`: only hosts that a document or a script answers. `tagged`: also services by name, if a tag asks for it.
 * `all`: every service by name.
 */
export type Exposure = (typeof exposures)[number];
export const exposures = ["documents", "tagged", "all"] as const;

/**
 * The least that a listener must expose so that a service can be reached by its name; `never`: no listener reaches
 * it.
 */
export type Reach = "tagged" | "all" | "never";

/** Consul's own service: its API and its servers are only the operator's business. */
const consulService = "consul";
/**
 * The tags that ask for exposure: Sluice's own, any of fabio's (fabio documentation, "Quickstart", `urlprefix-`), and
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
