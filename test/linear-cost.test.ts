/**
 * Nothing that reads what clients, origins, Consul, KV or Docker write may cost more than in proportion to
 * its length: a worker has one thread, and one such text would hold up everybody.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { fastest, growthOf, mostGrowth } from "./support/cost.ts";
import { type Attack, attacksOn, findLiterals } from "./support/regular-expressions.ts";

const root = new URL("../", import.meta.url);
/** What takes more than in proportion stands out at this size, by far. */
const probeSize = 400;
const secondSize = 1_500;
const growthSize = 4_500;
/** What takes longer at that size is compared at smaller ones: it is super-linear, and shows it there as well. */
const longMs = 2;
const leastGrowthSize = 500;
/** Of the inputs that take longest at the first size, so many are measured again, and so many in two sizes. */
const candidates = 12;
const suspects = 2;

/** Expressions that only ever see the project's own text. */
const ownTextOnly: Readonly<Record<string, string>> = {
  "gateway/sandbox/run/base-snapshot.ts": "the sources of inside/, when a process starts",
};

interface Found {
  readonly where: string;
  readonly expression: RegExp;
}

function sources(): readonly string[] {
  return ["gateway", "consul", "scripts"].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(?:ts|js|mjs)$/.test(name) && !/\.test\.ts$|\.d\.ts$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
}

function literalExpressions(): readonly Found[] {
  return sources().flatMap((file) =>
    findLiterals(readFileSync(new URL(file, root), "utf8"))
      .filter(() => !(file in ownTextOnly))
      .map(({ source, flags, line }) => ({
        where: `${file}:${line}`,
        expression: new RegExp(source, flags),
      })),
  );
}

/** Those that a module puts together while it is loaded. */
async function assembledExpressions(file: string): Promise<readonly Found[]> {
  const found: Found[] = [];
  const Plain = globalThis.RegExp;
  globalThis.RegExp = new Proxy(Plain, {
    construct(target, values, self) {
      const expression = Reflect.construct(target, values, self) as RegExp;
      found.push({ where: `${file}: ${expression.source}`, expression });
      return expression;
    },
  });
  try {
    await import(`${fileURLToPath(new URL(file, root))}?assembled`);
  } finally {
    globalThis.RegExp = Plain;
  }
  return found;
}

/** The ways in which the code uses expressions, each over the whole text. */
function uses(expression: RegExp): readonly ((text: string) => unknown)[] {
  const { global, sticky } = expression;
  const exec = (text: string) => {
    expression.lastIndex = 0;
    return expression.exec(text);
  };
  const walk = (text: string) => {
    let count = 0;
    for (const [found] of text.matchAll(expression)) count += found.length;
    return count;
  };
  if (global) return [walk];
  return sticky ? [exec] : [exec, (text) => text.split(expression).length];
}

/** The `count` inputs that take longest. */
function slowestOf(
  attacks: readonly Attack[],
  count: number,
  msOf: (attack: Attack) => number,
): readonly Attack[] {
  return attacks
    .map((attack) => ({ attack, ms: msOf(attack) }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, count)
    .map(({ attack }) => attack);
}

/** The input on which the expression takes more than in proportion; `null` when there is none. */
function findSuperLinear({ expression }: Found): string | null {
  for (const use of uses(expression)) {
    const on = (attack: Attack, size: number) => {
      const text = attack(size);
      return () => use(text);
    };
    // Twice each: what others ran in the middle of one must not stand before what takes long by itself.
    const probed = slowestOf(attacksOn(expression), candidates, (attack) =>
      fastest(on(attack, probeSize), 2),
    );
    const slowest = slowestOf(probed, suspects, (attack) => fastest(on(attack, secondSize), 3));
    for (const attack of slowest) {
      let size = growthSize;
      while (size > leastGrowthSize && fastest(on(attack, size), 2) > longMs) size /= 2;
      const growth = growthOf((length) => on(attack, length), size);
      if (growth > mostGrowth) {
        return `${JSON.stringify(attack(12))}... takes ${growth.toFixed(1)} times as long at 4 times the length`;
      }
    }
  }
  return null;
}

describe("the cost of reading foreign text", () => {
  it("finds expressions where they are, and none where there is none", () => {
    const text = [
      'const a = /a[/"]b/g; // not /this/ one',
      `const b = c / d / e; const s = '/x/' + \`\${/y\`/.test(f({}))}/z/\`;`,
      "return /w/.test(x) ? (g) / 2 / 3 : h[1] / 2;",
    ].join("\n");
    const found = findLiterals(text).map(({ source, flags, line }) => `${source} ${flags} ${line}`);
    expect(found).to.deep.equal(['a[/"]b g 1', "y`  2", "w  3"]);
  });

  for (const expression of [
    /^[\t ]+|[\t ]+$/g,
    /a.*b/,
    /a(?=.*z)/,
    /^(?:a|b)*?(?:[ab]|c)*d/,
    /(\w+)=\1/,
    /\w+:\/\//,
    /^\d+(\d*)x/,
    /<[^>]+>/g,
  ])
    it(`knows ${expression} by its growth`, function () {
      this.timeout(300_000);
      expect(findSuperLinear({ where: "here", expression })).not.to.equal(null);
    });

  it("knows every file that puts expressions together, and of every exemption that it is needed", () => {
    const assembling = sources().filter((file) =>
      /\bnew RegExp\(|[^.\w]RegExp\(/.test(readFileSync(new URL(file, root), "utf8")),
    );
    expect(assembling).to.have.members([
      "gateway/engine/message/grammar.ts",
      // An operator's own, bounded in its repetitions and in what it is tried on.
      "consul/registrator/templates/functions.ts",
      // Inside an isolate, where a script's time is limited.
      "scripts/check-parameters.js",
    ]);
    for (const file of Object.keys(ownTextOnly)) expect(sources()).to.include(file);
  });

  it("is linear for every regular expression", async function () {
    this.timeout(900_000);
    const all = [
      ...literalExpressions(),
      ...(await assembledExpressions("gateway/engine/message/grammar.ts")),
    ];
    expect(all.length).to.be.above(100);
    const faults = all.flatMap((one) => {
      const fault = findSuperLinear(one);
      return fault === null ? [] : [`${one.where}: ${one.expression}: ${fault}`];
    });
    expect(faults).to.deep.equal([]);
  });
});
