/**
 * Nothing that reads what clients, origins, Consul, KV or Docker write may cost more than in proportion to
 * its length: a worker has one thread, and one such text would hold up everybody.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { fastest, growthOf, mostGrowth } from "./support/cost.ts";
import { attacksOn, findLiterals } from "./support/regular-expressions.ts";

const root = new URL("../", import.meta.url);
const probeSize = 1_500;
/** Of the inputs that take longest at the small size, so many are looked at in two sizes. */
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

/** The input on which the expression takes more than in proportion; `null` when there is none. */
function findSuperLinear({ expression }: Found): string | null {
  for (const use of uses(expression)) {
    const timed = attacksOn(expression).map((attack) => {
      const text = attack(probeSize);
      return { attack, ms: fastest(() => use(text), 1) };
    });
    const slowest = timed
      .sort((a, b) => b.ms - a.ms)
      .slice(0, suspects * 6)
      .map(({ attack }) => ({ attack, ms: fastest(() => use(attack(probeSize)), 3) }))
      .sort((a, b) => b.ms - a.ms)
      .slice(0, suspects);
    for (const { attack } of slowest) {
      const growth = growthOf((size) => {
        const text = attack(size);
        return () => use(text);
      }, probeSize * 3);
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

  it("knows a quadratic expression by its growth", function () {
    this.timeout(60_000);
    const expression = /^[\t ]+|[\t ]+$/g;
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
    this.timeout(240_000);
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
