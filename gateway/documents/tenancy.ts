/** Finds in a document what belongs to another tenant. Such a document is refused like one that cannot be read. */
import type { DocumentKind, Entries, TenantPolicy } from "../model/index.ts";
import { destinationsOf, Tenants } from "../model/index.ts";

/**
 * Returns `null` for a document that names only its own tenant's and shared things; otherwise what is wrong, by
 * field.
 */
export type FindForeign = <K extends DocumentKind>(
  kind: K,
  name: string,
  value: Entries[K],
) => string | null;

/** Without a policy there is one tenant, and nothing is foreign. */
export function foreignIn(policy: TenantPolicy | null): FindForeign {
  if (policy === null) return () => null;
  const tenants = new Tenants(policy);
  return (kind, name, value) => {
    // TypeScript does not infer the value's type from the kind.
    if (kind === "host") return inHost(tenants, name, value as Entries["host"]);
    if (kind === "upstream") return inUpstream(tenants, name, value as Entries["upstream"]);
    return null;
  };
}

/**
 * Whether a service may get requests for a host by its tags. It may not when service and host belong to different
 * tenants.
 */
export function foreignRoute(
  policy: TenantPolicy | null,
): (host: string, service: string) => string | null {
  if (policy === null) return () => null;
  const tenants = new Tenants(policy);
  return (host, service) => {
    // A route for all hosts would get requests of every tenant.
    if (host === "*") return "a route for every host would be for hosts of other tenants";
    return tenants.refusal(tenants.ownerOf("hosts", host), "upstreams", service);
  };
}

function inHost(tenants: Tenants, host: string, document: Entries["host"]): string | null {
  const tenant = tenants.ownerOf("hosts", host);
  for (const [field, { shares }] of destinationsOf(document)) {
    for (const { upstream } of shares) {
      const refusal = tenants.refusal(tenant, "upstreams", upstream);
      if (refusal !== null) return `${field}: ${refusal}`;
    }
  }
  return null;
}

function inUpstream(
  tenants: Tenants,
  name: string,
  { service }: Entries["upstream"],
): string | null {
  if (service === null) return null;
  const refusal = tenants.refusal(tenants.ownerOf("upstreams", name), "upstreams", service);
  return refusal === null ? null : `service: ${refusal}`;
}
