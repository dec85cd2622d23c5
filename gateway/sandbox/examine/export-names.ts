/** The names that a script's exports may have, and the message for any other. Reads no source. */
import type { Found, Syntax } from "../run/source-reader.ts";

const meanings: ReadonlySet<string> = new Set([
  "default",
  "match",
  "onError",
  "onResponse",
  "rollout",
  "schedule",
  "takeBack",
  "tests",
]);

/** Why a script may not export this; `null` for a name that means something. */
function refusalOfExport(name: string): string | null {
  if (meanings.has(name)) return null;
  const meant = nearest(name);
  const hint = meant === null ? `it may be ${[...meanings].join(", ")}` : `did you mean ${meant}?`;
  const shown = name.length > 64 ? `${name.slice(0, 64)}...` : name;
  return `the export ${shown} means nothing: ${hint}`;
}

/** As `SourceReader.strangeExport`. */
export function strangeExport(
  script: Syntax,
  syntaxOf: (specifier: string) => Syntax | undefined,
): Found | null {
  for (const [name, index] of script.exports) {
    const message = refusalOfExport(name);
    if (message !== null) return { index, message };
  }
  for (const [specifier, index] of script.wholes) {
    const seen = new Set([syntaxOf(specifier)]);
    for (const module of seen) {
      if (module === undefined) continue;
      for (const name of module.exports.keys()) {
        const message = name === "default" ? null : refusalOfExport(name);
        if (message !== null) return { index, message };
      }
      for (const next of module.wholes.keys()) seen.add(syntaxOf(next));
    }
  }
  return null;
}

/** The export that somebody meant: one that differs by no more than two slips, or by its case. */
function nearest(name: string): string | null {
  if (name.length > 32) return null;
  let best: string | null = null;
  let least = 3;
  for (const meaning of meanings) {
    const slips = slipsBetween(name.toLowerCase(), meaning.toLowerCase());
    if (slips >= least) continue;
    least = slips;
    best = meaning;
  }
  return best;
}

/** How many letters must be put in, taken out, changed, or swapped with the next (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let slips = Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        slips = Math.min(slips, (before[j - 2] ?? 0) + 1);
      }
      next.push(slips);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
