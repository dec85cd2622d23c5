import { expect } from "chai";
import { source } from "../fixtures/test-sandbox.ts";
import { maxImports } from "../run/module-names.ts";
import { importsOf } from "./imports.ts";
import { closureOf, imports, ModuleGraph, modulesFor } from "./module-graph.ts";

const named = (text: string) => importsOf(source(text)).modules;

describe("what a source imports", () => {
  it("is what it says as code, in any form", () => {
    const text = `import "modules/a"; import b, { c as d } from 'modules/b';
      import * as e from "modules/a/e"; export * from "modules/f"; export { g } from "modules/g"
      import/**/{h}from"modules/h";import x from "modul\\u0065s/escaped";`;
    expect(named(text)).to.deep.equal(["a", "b", "a/e", "f", "g", "h", "escaped"]);
  });

  it("is not what it says in a text, a comment or an expression", () => {
    const text = `// import "modules/a"
      /* import "modules/b" */ const c = 'import "modules/c"' + \`import "modules/d"\`;
      const e = /import "modules\\/e"/; const f = "modules/f"; import "other/g";`;
    expect(named(text)).to.deep.equal([]);
  });

  it("is bounded, and what is beyond it or cannot be read is said", () => {
    const many = Array.from({ length: 20_000 }, (_, at) => `import "modules/m${at}";`).join("");
    expect(named(many)).to.have.lengthOf(maxImports + 1);
    expect(importsOf(source(many)).problem?.message).to.match(/more than 100 modules/);
    expect(importsOf(source("(".repeat(100_000))).problem?.message).to.match(/cannot be read/);
    expect(importsOf(source(`import "modules/a";`)).problem).to.equal(null);
  });
});

describe("a graph of modules", () => {
  const texts: Readonly<Record<string, string>> = {
    top: `import "modules/middle";`,
    middle: `import "modules/base"; import "modules/gone";`,
    base: "",
    round: `import "modules/about";`,
    about: `import "modules/round";`,
  };
  const all = new Map(Object.entries(texts).map(([name, text]) => [name, source(text)]));

  it("knows what a module concerns, as it changes", () => {
    const graph = new ModuleGraph(all);
    const concerned = (name: string) => [...graph.concernedBy([name])].sort();
    expect(concerned("base")).to.deep.equal(["base", "middle", "top"]);
    expect(concerned("gone")).to.deep.equal(["gone", "middle", "top"]);
    expect(concerned("round")).to.deep.equal(["about", "round"]);
    graph.set("middle", source(`import "modules/other";`));
    expect(concerned("base")).to.deep.equal(["base"]);
    expect(concerned("other")).to.deep.equal(["middle", "other", "top"]);
    graph.set("top", null);
    expect(concerned("other")).to.deep.equal(["middle", "other"]);
  });

  it("knows what a script is made of", () => {
    const script = source(`import "modules/top"; import "modules/round";`);
    const names = ["about", "base", "gone", "middle", "round", "top"];
    expect([...closureOf([script], all)].sort()).to.deep.equal(names);
    expect([...(modulesFor(script, all)?.keys() ?? [])].sort()).to.deep.equal(
      names.filter((name) => name !== "gone"),
    );
    expect(imports(script, new Set(["top"]))).to.equal(true);
    expect(imports(script, new Set(["middle"]))).to.equal(false);
  });

  it("gives nobody more modules than a script may have", () => {
    const row = (at: number) =>
      Array.from({ length: 100 }, (_, column) => `import "modules/${at}-${column}";`).join("");
    const rows = Array.from({ length: 12 }, (_, at) => [`${at}-0`, source(row(at + 1))] as const);
    const modules = new Map(rows);
    const script = source(`import "modules/0-0";`);
    expect(modulesFor(script, modules)).to.equal(null);
    expect(modulesFor(script, new Map(rows.slice(0, 9)))).to.not.equal(null);
  });
});
