/**
 * Turns the phases of path rules and routes into phases of their host: the n-th host phase runs the n-th phase of the
 * rule that decides about the request.
 */
import type { Exchange } from "../engine/engine.ts";
import type { HostRules } from "./host-rules.ts";
import type { Phase, RequestContext } from "./phase.ts";
import type { Rule } from "./rule.ts";

/** Makes as many phases as the longest rule has, so that a request which one of them holds goes on with the next. */
export function pathPhases(
  host: Pick<HostRules, "find">,
  rules: readonly Pick<Rule, "phases">[],
): readonly Phase[] {
  const most = rules.reduce((most, { phases }) => Math.max(most, phases.length), 0);
  return Array.from({ length: most }, (_, at): Phase => {
    // Looked up once: a change that a phase makes to the request does not lead it to the phases of another rule.
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
