/**
 * What applies to a host, put together when a version is applied: its rules, its scripts, and the phases that its
 * requests meet. It is looked up once for each request. It does not contain upstreams, which change more often.
 */
import type { ServiceSite } from "../model/index.ts";
import type { HostScripts } from "../sandbox/index.ts";
import type { HostRules } from "./host-rules.ts";
import type { Phase } from "./phase.ts";
import { ScriptPhase } from "./script-phase.ts";

export interface Site {
  /** The service that the host names, with its tag; `null` when it names none. */
  readonly service: ServiceSite | null;
  /** The rules from the host's document, or from that of the longest wildcard over it; `null` when there is none. */
  readonly rules: HostRules | null;
  /** The scripts that may run for its requests. The first that has a version for a request does. */
  readonly scripts: readonly HostScripts[];
  /** The phases that its requests meet, in this order. */
  readonly phases: readonly Phase[];
}

/** A host without a document or a script, which names no service. */
export const unknownSite: Site = { service: null, rules: null, scripts: [], phases: [] };

/** `above`: the site of the longest wildcard over the host, whose rules and scripts apply when the host has none. */
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

/** Phases after the scripts see the host and the path that the scripts chose. */
function phasesOf(rules: HostRules | null, scripts: readonly HostScripts[]): readonly Phase[] {
  const script = scripts.length === 0 ? [] : [new ScriptPhase(scripts)];
  return [...(rules?.phasesBefore ?? []), ...script, ...(rules?.phases ?? [])];
}

function scriptsOf(own: HostScripts | null, above: Site): readonly HostScripts[] {
  if (own === null) return above.scripts;
  // If the host has only a version on trial, the other requests go to the wildcard's script.
  return own.isForAll ? [own] : [own, ...above.scripts];
}
