/** The phases of path rules as phases of their host: the n-th of whichever rule covers the request. */
import type { HostRules, Rule } from "./host-rules.ts";
import type { Phase } from "./phase.ts";

/** As many as the rule has that has most, so that a request which one of them holds goes on behind it. */
export function pathPhases(
  host: Pick<HostRules, "find">,
  rules: readonly Pick<Rule, "phases">[],
): readonly Phase[] {
  const most = Math.max(0, ...rules.map(({ phases }) => phases.length));
  return Array.from({ length: most }, (_, at): Phase => {
    const find = (path: string) => host.find(path)?.phases[at];
    return {
      name: `${at + 1}. of the path`,
      onRequest: (exchange, context) => find(exchange.path)?.onRequest?.(exchange, context) ?? true,
      rehearse: (exchange, context, say) => {
        const phase = find(exchange.path);
        if (phase === undefined) return true;
        say(phase.name);
        return (
          phase.rehearse?.(exchange, context, say) ?? phase.onRequest?.(exchange, context) ?? true
        );
      },
      onResponse: (exchange, context) => find(exchange.path)?.onResponse?.(exchange, context),
      onEnd: (exchange, context) => find(exchange.path)?.onEnd?.(exchange, context),
    };
  });
}
