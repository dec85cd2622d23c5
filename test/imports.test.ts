/** Modules that import each other in a circle cannot be understood, built or tested apart. */
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { expect } from "chai";

const root = join(import.meta.dirname, "..");
const importing = /(?:\bfrom|\bimport)\s*\(?\s*["'](\.[^"']+)["']/g;

type Graph = ReadonlyMap<string, readonly string[]>;

/** What each module of these rooms imports when it runs; what is imported for its types alone is left out. */
function graphOf(rooms: readonly string[]): Graph {
  const graph = new Map<string, readonly string[]>();
  for (const room of rooms) {
    for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts") || name.endsWith(".test.ts") || name.endsWith(".d.ts")) continue;
      const path = join(root, room, name);
      const code = stripTypeScriptTypes(readFileSync(path, "utf8"));
      const imports = Array.from(code.matchAll(importing), ([, to = ""]) =>
        relative(root, resolve(dirname(path), to)),
      );
      graph.set(relative(root, path), imports);
    }
  }
  return graph;
}

/** Sets of modules of which each reaches every other (Tarjan's strongly connected components). */
function circlesIn(graph: Graph): readonly (readonly string[])[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (module: string): void => {
    const own = index.size;
    index.set(module, own);
    low.set(module, own);
    stack.push(module);
    for (const next of graph.get(module) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next))
        low.set(module, Math.min(low.get(module) ?? own, low.get(next) ?? own));
    }
    if (low.get(module) !== own) return;
    const circle = stack.splice(stack.indexOf(module));
    if (circle.length > 1 || graph.get(module)?.includes(module)) circles.push(circle.sort());
  };
  for (const module of graph.keys()) if (!index.has(module)) visit(module);
  return circles;
}

describe("imports", () => {
  it("are seen by this test", () => {
    const graph = graphOf(["gateway/engine"]);
    expect(graph.get("gateway/engine/index.ts")).to.include("gateway/engine/http-engine.ts");
    expect(graph.get("gateway/engine/exchange/ports.ts"), "types alone").to.deep.equal([]);
    const circle = new Map([
      ["a", ["b"]],
      ["b", ["c", "d"]],
      ["c", ["a"]],
      ["d", []],
    ]);
    expect(circlesIn(circle)).to.deep.equal([["a", "b", "c"]]);
  });

  it("make no circle in the gateway and the Consul room", () => {
    expect(circlesIn(graphOf(["gateway", "consul"]))).to.deep.equal([]);
  });

  it("bring no socket and no wire to the exchange", () => {
    for (const [module, imports] of graphOf(["gateway/engine/exchange"])) {
      const code = readFileSync(join(root, module), "utf8");
      expect(code, module).to.not.match(/["']node:(?:net|http|http2|tls)["']/);
      for (const to of imports)
        expect(to, module).to.not.match(/engine\/(?:downstream|upstream|listening)\//);
      expect(code, module).to.not.match(/from "\.\.\/(?:downstream|upstream|listening)\//);
    }
  });
});
