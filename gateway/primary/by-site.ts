/** Entries of an earlier state by the sites that their hosts are now, so that a rule holds under every spelling. */
import { kinds, ownDatacenter, type Served, SiteNames } from "../model/index.ts";

/** Of two entries of one site that which is spelt as the site stays, else the first. */
export function bySite(changes: readonly Served[]): readonly Served[] {
  const datacenter = new Map(
    changes.flatMap(({ kind, key, value }) =>
      kind === "datacenter" && value !== null ? [[key, value] as const] : [],
    ),
  );
  const sites = new SiteNames(ownDatacenter({ datacenter }));
  const id = ({ kind, key }: Served) => `${kind}/${key}`;
  const taken = new Set(changes.map(id));
  return changes.flatMap((change) => {
    if (kinds[change.kind].names !== "host") return [change];
    const named = { ...change, key: sites.nameOf(change.key) };
    if (named.key === change.key) return [change];
    const isTagged = (sites.find(change.key)?.tag ?? null) !== null;
    if (isTagged || taken.has(id(named))) return [];
    taken.add(id(named));
    return [named];
  });
}
