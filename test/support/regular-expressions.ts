/**
 * Finds the regular expressions in source text, and makes up inputs on which one of them could backtrack:
 * a beginning, something that is repeated, and an end that does not fit.
 */

export interface Literal {
  readonly source: string;
  readonly flags: string;
  readonly line: number;
}

/** What may stand before a division; anything else before a slash begins an expression. */
const operand = /[\w$)\]}]$/;
const keyword =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/;

/** The regular expressions that are written as literals in JavaScript or TypeScript. */
export function findLiterals(text: string): readonly Literal[] {
  const found: Literal[] = [];
  /** What was read of code, strings and comments left out; its end says what a slash means. */
  let code = "";
  /** For each open template, how many braces are open inside its current `${`. */
  const templates: number[] = [];
  let at = 0;
  const skipTemplate = () => {
    for (; at < text.length && text[at] !== "`"; at += 1) {
      if (text[at] === "\\") at += 1;
      else if (text.startsWith("${", at)) {
        templates.push(0);
        at += 2;
        code = "(";
        return;
      }
    }
    at += 1;
    code = "a";
  };
  while (at < text.length) {
    const character = text[at] ?? "";
    if (text.startsWith("//", at)) at = endOf(text, "\n", at);
    else if (text.startsWith("/*", at)) at = endOf(text, "*/", at + 2);
    else if (character === '"' || character === "'") {
      for (at += 1; text[at] !== character; at += 1) if (text[at] === "\\") at += 1;
      at += 1;
      code = "a";
    } else if (character === "`") {
      at += 1;
      skipTemplate();
    } else if (character === "}" && templates.at(-1) === 0) {
      templates.pop();
      at += 1;
      skipTemplate();
    } else if (character === "/" && beginsLiteral(code.trimEnd())) {
      const { end, flags } = readLiteral(text, at);
      const line = text.slice(0, at).split("\n").length;
      found.push({ source: text.slice(at + 1, end), flags, line });
      at = end + 1 + flags.length;
      code = "a";
    } else {
      const open = templates.length - 1;
      if (character === "{" && open >= 0) templates[open] = (templates[open] ?? 0) + 1;
      if (character === "}" && open >= 0) templates[open] = (templates[open] ?? 0) - 1;
      if (character.trim() !== "") code = (code + character).slice(-12);
      else if (!code.endsWith(" ")) code += " ";
      at += 1;
    }
  }
  return found;
}

function beginsLiteral(before: string): boolean {
  return !operand.test(before) || keyword.test(before);
}

function endOf(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from);
  return at === -1 ? text.length : at + mark.length;
}

function readLiteral(text: string, start: number): { end: number; flags: string } {
  let isClass = false;
  let end = start + 1;
  for (; text[end] !== "/" || isClass; end += 1) {
    if (end >= text.length || text[end] === "\n")
      throw new Error(`no end of a literal at ${start}`);
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") isClass = true;
    else if (text[end] === "]") isClass = false;
  }
  const flags = /^[a-z]*/.exec(text.slice(end + 1, end + 12))?.[0] ?? "";
  return { end, flags };
}

/** A text that grows with its size: one way to make an expression work in vain. */
export type Attack = (size: number) => string;

export function attacksOn({ source, flags }: RegExp): readonly Attack[] {
  const letters = lettersOf(source, flags);
  const words = [...source.matchAll(/(?:[\w '":/-]|\\\/){3,}/g)].map(([word]) =>
    word.replaceAll("\\/", "/"),
  );
  const pairs = letters.flatMap((one) => letters.map((other) => one + other));
  const pumps = new Set([...letters, ...pairs, ...words]);
  const starts = ["", ...letters, ...words];
  const ends = ["", "\0", "!", ...letters];
  return [...pumps].flatMap((pump) =>
    starts.flatMap((start) =>
      ends.map((end) => (size: number) => start + pump.repeat(size / pump.length) + end),
    ),
  );
}

/** One character of each kind that the expression tells apart. */
function lettersOf(source: string, flags: string): readonly string[] {
  const atoms =
    source.match(
      /\[(?:\\.|[^\\\]])+\]|\\(?:p\{\w+\}|x[0-9a-f]{2}|u[0-9a-f]{4}|[^bB])|[^\\[\](){}|^$*+?]/g,
    ) ?? [];
  const plain = flags.replaceAll(/[gy]/g, "");
  const tests = [...new Set(atoms)].map((atom) => new RegExp(`^(?:${atom})$`, plain));
  const kinds = new Map<string, string>();
  for (const letter of `a0 \t\n\r-_.,:;/%"'[]()xz9Z~\xe9${atoms.filter((atom) => atom.length === 1).join("")}`) {
    const kind = tests.map((test) => (test.test(letter) ? 1 : 0)).join("");
    if (!kinds.has(kind)) kinds.set(kind, letter);
  }
  return [...kinds.values()].slice(0, 9);
}
