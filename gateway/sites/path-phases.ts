/** The phases of path rules and routes as phases of their host: the n-th of whichever rule decides on the request. */
import type { Exchange } from "../engine/engine.ts";
import type { HostRules } from "./host-rules.ts";
import type { Phase, RequestContext } from "./phase.ts";
import type { Rule } from "./rule.ts";

/** As many as the rule has that has most, so that a request which one of them holds goes on behind it. */
export function pathPhases(
  host: Pick<HostRules, "find">,
  rules: readonly Pick<Rule, "phases">[],
): readonly Phase[] {
  const most = rules.reduce((most, { phases }) => Math.max(most, phases.length), 0);
  return Array.from({ length: most }, (_, at): Phase => {
    // Found once: what a phase changes of the request does not lead it to the phases of another rule.
    const find = (exchange: Exchange<RequestContext>, context: RequestContext) => {
      context.rule ??= host.find(exchange);
      return context.rule?.phases[at];
    };
    return {
      name: `${at + 1}. of the path`,
      onRequest: (exchange, context) =>
        find(exchange, context)?.onRequest?.(exchange, context) ?? true,
      rehearse: (exchange, context, say) => {
        const phase = find(exchange, context);
        if (phase === undefined) return true;
        say(phase.name);
        return (
          phase.rehearse?.(exchange, context, say) ?? phase.onRequest?.(exchange, context) ?? true
        );
      },
      onResponse: (exchange, context) => context.rule?.phases[at]?.onResponse?.(exchange, context),
      onEnd: (exchange, context) => context.rule?.phases[at]?.onEnd?.(exchange, context),
    };
  });
}
