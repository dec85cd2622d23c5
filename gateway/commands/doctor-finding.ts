/** What `sluice doctor` finds: one sentence about one thing, and what to do about it. */

export interface Finding {
  /** What was looked at: `consul`, `token`, `services`, ... */
  readonly check: string;
  /** `problem`: something does not work. `warning`: something may not work as expected. */
  readonly level: "ok" | "warning" | "problem";
  readonly what: string;
  readonly todo: string | null;
}

export function ok(check: string, what: string): Finding {
  return { check, level: "ok", what, todo: null };
}

export function warning(check: string, what: string, todo: string): Finding {
  return { check, level: "warning", what, todo };
}

export function problem(check: string, what: string, todo: string): Finding {
  return { check, level: "problem", what, todo };
}

/** `a, b and 3 more`. */
export function few(names: readonly string[], most = 5): string {
  const rest = names.length - most;
  return rest > 0 ? `${names.slice(0, most).join(", ")} and ${rest} more` : names.join(", ");
}
