/**
 * What holds for a host, put together when a version is applied: its rules, its scripts, the phases that its requests
 * meet. Found once for a request; says nothing of upstreams, which change more often.
 */
import type { ServiceSite } from "../model/index.ts";
import type { HostScripts } from "../sandbox/index.ts";
import type { HostRules } from "./host-rules.ts";
import type { Phase } from "./phase.ts";
import { ScriptPhase } from "./script-phase.ts";

export interface Site {
  /** The service that the host names, with its tag; `null`: it names none. */
  readonly service: ServiceSite | null;
  /** The host's document, or that of the longest wildcard over it; `null`: there is none. */
  readonly rules: HostRules | null;
  /** What may run on its requests: the first one that has a version for a request does. */
  readonly scripts: readonly HostScripts[];
  /** What its requests meet, in this order. */
  readonly phases: readonly Phase[];
}

/** A host of which no document and no script says anything, and that names no service. */
export const unknownSite: Site = { service: null, rules: null, scripts: [], phases: [] };

/** `above`: the longest wildcard over the host, whose rules and scripts hold where the host has none. */
export function createSite(
  service: ServiceSite | null,
  rules: HostRules | null,
  scripts: HostScripts | null,
  above: Site,
): Site {
  const all = scriptsOf(scripts, above);
  const held = rules ?? above.rules;
  const isSame = held === above.rules && all === above.scripts;
  const phases = isSame ? above.phases : phasesOf(held, all);
  return { service, rules: held, scripts: all, phases };
}

/** What stands behind the scripts looks at the host and the path that they say. */
function phasesOf(rules: HostRules | null, scripts: readonly HostScripts[]): readonly Phase[] {
  const script = scripts.length === 0 ? [] : [new ScriptPhase(scripts)];
  return [...(rules?.phasesBefore ?? []), ...script, ...(rules?.phases ?? [])];
}

function scriptsOf(own: HostScripts | null, above: Site): readonly HostScripts[] {
  if (own === null) return above.scripts;
  // Where there is no version but one on trial, the rest of the requests is left to a wildcard's script.
  return own.isForAll ? [own] : [own, ...above.scripts];
}
