/**
 * The header lines of a request, as `node:http` gives them, without those that nobody is to see: odd names,
 * and what anyone but a trusted proxy says of who is in front of the gateway.
 */
import { isNamePassedOn, type NameRules } from "../message/field-names.ts";
import { forwardingKind } from "../message/fields.ts";
import {
  isSameStory,
  type Said,
  type Story,
  storyOf,
  type TrustedProxy,
} from "../message/forwarding.ts";

export interface RequestFields {
  /** As `node:http`'s `rawHeaders`. */
  readonly lines: readonly string[];
  /** Lines that were left out because of their names. */
  readonly oddNames: number;
  /** What a trusted proxy's request says of its client; `null` for anyone else's. */
  readonly story: Story | null;
}

export function requestFields(
  rawHeaders: readonly string[],
  rules: NameRules,
  proxy: TrustedProxy | null,
): RequestFields {
  const all: (readonly [name: string, value: string])[] = [];
  for (let n = 0; n + 1 < rawHeaders.length; n += 2) {
    all.push([rawHeaders[n] ?? "", rawHeaders[n + 1] ?? ""]);
  }
  const named = all.filter(([name]) => isNamePassedOn(name, rules));
  const story = proxy === null ? null : storyOf(saidBy(named), proxy);
  const shown = named.filter(([name, value]) => {
    const kind = forwardingKind(name.toLowerCase());
    if (kind === null) return true;
    return story !== null && (kind === "written" || isSameStory(kind, value, story));
  });
  return { lines: shown.flat(), oddNames: all.length - named.length, story };
}

function saidBy(fields: readonly (readonly [name: string, value: string])[]): Said {
  const values = (wanted: string) =>
    fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
  return {
    forwardedFor: values("x-forwarded-for").join(", "),
    forwardedProto: values("x-forwarded-proto").join(", "),
    forwardedHost: values("x-forwarded-host").at(-1) ?? "",
    forwarded: values("forwarded").join(", "),
  };
}
