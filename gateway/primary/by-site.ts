/** Entries of an earlier state by the sites that their hosts are now, so that a rule holds under every spelling. */
import { type Change, type Kind, ownDatacenter, SiteNames } from "../model/index.ts";

/** The kinds whose keys are hosts. */
const byHost: ReadonlySet<Kind> = new Set(["host", "script", "trial", "life", "closed"]);

/** Of two entries of one site that which is spelt as the site stays, else the first. */
export function bySite(changes: readonly Change[]): readonly Change[] {
  const datacenter = new Map(
    changes.flatMap(({ kind, key, value }) =>
      kind === "datacenter" && value !== null ? [[key, value] as const] : [],
    ),
  );
  const sites = new SiteNames(ownDatacenter({ datacenter }));
  const id = ({ kind, key }: Change) => `${kind}/${key}`;
  const taken = new Set(changes.map(id));
  return changes.flatMap((change) => {
    if (!byHost.has(change.kind)) return [change];
    const named = { ...change, key: sites.nameOf(change.key) };
    if (named.key === change.key) return [change];
    const isTagged = (sites.find(change.key)?.tag ?? null) !== null;
    if (isTagged || taken.has(id(named))) return [];
    taken.add(id(named));
    return [named];
  });
}
