/** The servers of an upstream document as they are now, level by level: written in it, or instances of its service. */
import {
  failoverKeys,
  type Instance,
  type Server,
  type SiteNames,
  type Tables,
  type UpstreamDocument,
} from "../model/index.ts";

/** A service that nobody has asked for yet is unknown: it has an empty level. */
export function upstreamLevels(
  document: UpstreamDocument,
  { service }: Pick<Tables, "service">,
  names: SiteNames,
): readonly (readonly Server[])[] {
  if (document.service === null) return document.levels.map(({ servers }) => servers);
  const query = names.find(document.service);
  if (query === null) return [[]];
  const { maxFails, failTimeoutMs, failover = [] } = document;
  const isMeant = ({ tags }: Instance) =>
    query.tag === null || tags.some((one) => one.toLowerCase() === query.tag);
  const keys = [query.key, ...failoverKeys(query, failover, names.ownDatacenter)];
  return keys.map((key) =>
    (service.get(key) ?? []).filter(isMeant).map(({ address, port, weight }) => ({
      ...{ host: address, port, weight, maxFails, failTimeoutMs },
    })),
  );
}
