/** Judges what the three ways made of one conversation. */
import type { Asked } from "./asked.ts";
import { looser, stricter } from "./rules.ts";
import type { Outcome } from "./ways.ts";

/** `agreed`, the name of the rule that explains the difference, or a defect. */
export type Verdict =
  | { readonly kind: "agreed" }
  | { readonly kind: "explained"; readonly rule: string }
  | { readonly kind: "defect"; readonly what: string };

/** Compares a way through the gateway with the direct one. */
export function compare(gateway: Outcome, direct: Outcome, isOrdered: boolean): Verdict {
  const both = Math.min(gateway.asked.length, direct.asked.length);
  for (let n = 0; n < both; n += 1) {
    const difference = differenceOf(gateway.asked[n], direct.asked[n], isOrdered);
    if (difference !== "") return defect(`request ${n}: ${difference}`);
  }
  if (gateway.violation !== "") return defect(`the client was sent nonsense: ${gateway.violation}`);
  if (gateway.answers.length < gateway.asked.length) {
    return defect(`${gateway.asked.length} asked, ${gateway.answers.length} answered`);
  }
  for (let n = 0; n < Math.min(both, direct.answers.length); n += 1) {
    const [one, other] = [gateway.answers[n], direct.answers[n]];
    if (one?.status !== other?.status || one?.body !== other?.body) {
      return defect(`answer ${n}: ${JSON.stringify(one)}, directly ${JSON.stringify(other)}`);
    }
  }
  if (gateway.asked.length < direct.asked.length) {
    if (gateway.refusal in stricter) return { kind: "explained", rule: gateway.refusal };
    return defect(`asked ${gateway.asked.length} of ${direct.asked.length}: "${gateway.refusal}"`);
  }
  if (gateway.asked.length > direct.asked.length) {
    if (direct.refusal in looser) return { kind: "explained", rule: direct.refusal };
    return defect(
      `asked ${gateway.asked.length}, directly ${direct.asked.length}: "${direct.refusal}"`,
    );
  }
  return { kind: "agreed" };
}

function defect(what: string): Verdict {
  return { kind: "defect", what };
}

function differenceOf(
  gateway: Asked | undefined,
  direct: Asked | undefined,
  isOrdered: boolean,
): string {
  const order = isOrdered ? "lines" : "grouped";
  for (const part of ["method", "target", "authority", "body", order] as const) {
    const [one, other] = [JSON.stringify(gateway?.[part]), JSON.stringify(direct?.[part])];
    if (one !== other) return `${part} ${one}, directly ${other}`;
  }
  return "";
}
