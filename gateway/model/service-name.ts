/** The names by which a service can be asked for: the forms that Consul's own DNS uses. */
import type { ServiceQuery } from "./entries.ts";

const domain = "consul";
const label = /^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$/;

/**
 * Reads `thumb`, `[tag.]thumb.service[.datacenter].consul` or `_thumb._tag.service[.datacenter].consul` (Consul
 * documentation, "DNS interface", standard and RFC 2782 lookup). Expects lower case, without port and trailing dot.
 * Returns `null` when the name has none of these forms.
 */
export function parseServiceName(host: string): ServiceQuery | null {
  const labels = host.split(".");
  if (labels.length === 1)
    return label.test(host) ? { name: host, tag: null, datacenter: null } : null;
  if (labels.pop() !== domain) return null;
  let datacenter: string | null = null;
  if (labels.at(-1) !== "service") {
    datacenter = labels.pop() ?? null;
    if (datacenter === null || !label.test(datacenter) || labels.at(-1) !== "service") return null;
  }
  labels.pop();
  const [first, second] = labels;
  if (labels.length === 2 && first?.startsWith("_") && second?.startsWith("_")) {
    const name = first.slice(1);
    const tag = second.slice(1);
    if (!label.test(name) || !label.test(tag)) return null;
    // RFC 2782 lookups have a protocol in the tag's place; Consul reads `_tcp` as no tag.
    return { name, tag: tag === "tcp" ? null : tag, datacenter };
  }
  const name = labels.pop();
  if (name === undefined || !label.test(name)) return null;
  const tag = labels.length === 0 ? null : labels.join(".");
  return { name, tag, datacenter };
}
