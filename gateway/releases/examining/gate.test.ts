import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { check, Harness, module, script } from "../fixtures/gate-harness.ts";

describe("script gate", () => {
  it("lets a good script through, and keeps it when a bad one follows", async () => {
    const harness = new Harness();
    await harness.offer(script("a", "good"));
    await harness.offer(script("a", "wrong"));
    expect(harness.live.get("scripts/a")).to.equal("good");
    expect(harness.list()).to.deep.equal([
      {
        key: "p/scripts/a",
        version: "v:wrong",
        line: 1,
        column: 1,
        error: "syntax error",
        since: new Date(1_000_000).toISOString(),
      },
    ]);
    await harness.offer(script("a", "better"));
    expect(harness.live.get("scripts/a")).to.equal("better");
    expect(harness.refusals).to.deep.equal({});
  });

  it("refuses nothing before it begins, so that modules may come after their scripts", async () => {
    const harness = new Harness(check, false);
    harness.gate.offer([script("a", "import 'modules/util'"), script("b", "wrong")]);
    await harness.offer({ kind: "upstream", key: "c", value: null });
    harness.gate.offer([module("util", "level 1")]);
    expect(harness.passed).to.deep.equal([["upstream c"]]);
    harness.gate.begin();
    await harness.gate.settled();
    expect(harness.passed.slice(1).flat()).to.deep.equal(["module util", "script a"]);
    expect(Object.keys(harness.refusals)).to.deep.equal(["scripts/b"]);
  });

  it("forgets a refusal when the good version is put back or the key goes", async () => {
    const harness = new Harness();
    await harness.offer(script("a", "good"), script("b", "wrong"));
    await harness.offer(script("a", "wrong"));
    await harness.offer(script("a", "good"), script("b", null));
    expect(harness.refusals).to.deep.equal({});
    expect(harness.live).to.deep.equal(new Map([["scripts/a", "good"]]));
  });

  it("passes every other kind on while a check takes its time", async () => {
    const block = Promise.withResolvers<void>();
    const harness = new Harness(async () => {
      await block.promise;
      return null;
    });
    harness.gate.offer([script("a", "slow"), { kind: "setting", key: "s", value: 1 }]);
    harness.gate.offer([{ kind: "upstream", key: "c", value: null }]);
    expect(harness.passed).to.deep.equal([["setting s"], ["upstream c"]]);
    block.resolve();
    await harness.gate.settled();
    expect(harness.live.get("scripts/a")).to.equal("slow");
  });

  it("never lets an older text overwrite a newer one, however long its check takes", async () => {
    const block = Promise.withResolvers<void>();
    let begun = 0;
    const harness = new Harness(async (host, { script: scripts }) => {
      begun += 1;
      if (scripts.get(host)?.text === "old") await block.promise;
      return null;
    });
    harness.gate.offer([script("a", "old")]);
    await until("the check has begun", () => begun === 1);
    harness.gate.offer([script("a", "new")]);
    block.resolve();
    await harness.gate.settled();
    expect(harness.live.get("scripts/a")).to.equal("new");
    expect(harness.passed.flat()).to.deep.equal(["script a"]);
  });

  it("never lets a text through on the strength of an older one's check", async () => {
    const block = Promise.withResolvers<void>();
    let begun = 0;
    const harness = new Harness(async (host, tables) => {
      begun += 1;
      if (tables.script.get(host)?.text === "good") await block.promise;
      return check(host, tables);
    });
    harness.gate.offer([script("a", "good")]);
    await until("the check has begun", () => begun === 1);
    harness.gate.offer([script("a", "wrong")]);
    block.resolve();
    await harness.gate.settled();
    expect(harness.live.size).to.equal(0);
    expect(harness.refusals).to.deep.equal({ "scripts/a": "syntax error" });
  });

  it("lets nothing through with a module that changed while they were tried together", async () => {
    const block = Promise.withResolvers<void>();
    let isBlocked = false;
    const harness = new Harness(async (host, tables) => {
      if (host === "a" && tables.module.get("util")?.text === "level 2") {
        isBlocked = true;
        await block.promise;
      }
      return check(host, tables);
    });
    await harness.offer(module("util", "level 1"), script("a", "import 'modules/util'; // >= 1"));
    harness.gate.offer([module("util", "level 2"), script("a", "import 'modules/util'; // >= 2")]);
    await until("both are being tried", () => isBlocked);
    harness.gate.offer([module("util", "wrong")]);
    block.resolve();
    await harness.gate.settled();
    expect(harness.live).to.deep.equal(
      new Map([
        ["modules/util", "level 1"],
        ["scripts/a", "import 'modules/util'; // >= 1"],
      ]),
    );
    expect(Object.keys(harness.refusals).sort()).to.deep.equal(["modules/util", "scripts/a"]);
  });

  it("takes a script out at once, though its check is still running", async () => {
    const block = Promise.withResolvers<void>();
    let begun = 0;
    const harness = new Harness(async () => {
      begun += 1;
      await block.promise;
      return null;
    });
    harness.gate.offer([script("a", "old")]);
    await until("the check has begun", () => begun === 1);
    harness.gate.offer([script("a", null)]);
    block.resolve();
    await harness.gate.settled();
    expect(harness.live.size).to.equal(0);
  });

  it("checks a script again when the module that it lacks appears", async () => {
    const harness = new Harness();
    await harness.offer(script("a", "import 'modules/util'"));
    expect(harness.refusals).to.deep.equal({ "scripts/a": "there is no modules/util" });
    await harness.offer(module("util", "level 1"));
    expect([...harness.live.keys()].sort()).to.deep.equal(["modules/util", "scripts/a"]);
    expect(harness.refusals).to.deep.equal({});
  });

  it("refuses a module that is wrong in itself, with its own place", async () => {
    const harness = new Harness();
    await harness.offer(module("util", "wrong"), script("a", "import 'modules/util'"));
    expect(harness.live.size).to.equal(0);
    expect(harness.refusals["modules/util"]).to.equal("syntax error");
    expect(harness.refusals["scripts/a"]).to.equal(
      "there is no modules/util; modules/util is refused itself",
    );
  });

  it("refuses a change of a module, or its end, that would break a live script", async () => {
    const harness = new Harness();
    await harness.offer(module("util", "level 2"), script("a", "import 'modules/util'; // >= 2"));
    await harness.offer(module("util", "level 1"));
    expect(harness.live.get("modules/util")).to.equal("level 2");
    expect(harness.refusals).to.deep.equal({
      "modules/util": "it would break scripts/a:1:1: modules/util is too old",
    });
    await harness.offer(module("util", null));
    expect(harness.live.get("modules/util")).to.equal("level 2");
    expect(harness.refusals["modules/util"]).to.contain("there is no modules/util");
    await harness.offer(script("a", null));
    expect([...harness.live.keys()]).to.deep.equal(["modules/util"]);
  });

  it("lets a script and its module change together, in either order", async () => {
    for (const scriptFirst of [true, false]) {
      const harness = new Harness();
      await harness.offer(module("util", "level 1"), script("a", "import 'modules/util'; // >= 1"));
      const steps = [script("a", "import 'modules/util'; // >= 3"), module("util", "level 3")];
      for (const step of scriptFirst ? steps : steps.reverse()) await harness.offer(step);
      expect(harness.live).to.deep.equal(
        new Map([
          ["modules/util", "level 3"],
          ["scripts/a", "import 'modules/util'; // >= 3"],
        ]),
      );
      expect(harness.refusals).to.deep.equal({});
    }
  });

  it("does not let one bad module or script hold back another", async () => {
    const harness = new Harness();
    await harness.offer(
      module("old", "level 2"),
      script("a", "import 'modules/old'; // >= 2"),
      module("fine", "level 1"),
    );
    await harness.offer(
      module("old", "level 1"),
      module("fine", "level 5"),
      script("b", "import 'modules/fine'; // >= 5"),
      script("c", "wrong"),
    );
    expect(Object.keys(harness.refusals).sort()).to.deep.equal(["modules/old", "scripts/c"]);
    expect(harness.live.get("modules/fine")).to.equal("level 5");
    expect(harness.live.has("scripts/b")).to.equal(true);
  });

  it("checks refused scripts again when a setting comes", async () => {
    const harness = new Harness();
    await harness.offer(script("a", "setting limit"));
    expect(harness.live.size).to.equal(0);
    await harness.offer({ kind: "setting", key: "limit", value: 3 });
    expect(harness.live.has("scripts/a")).to.equal(true);
  });

  it("checks only what a change concerns, through all modules between", async () => {
    const checked: string[] = [];
    const harness = new Harness(async (host) => {
      checked.push(host);
      return null;
    });
    await harness.offer(
      module("top", "import 'modules/middle'; // 'modules/other'"),
      module("middle", "import 'modules/base';"),
      module("base", "level 1"),
      module("other", "level 1"),
      script("a", "import 'modules/top';"),
      script("b", "import 'modules/other'; // import 'modules/base'"),
      script("c", "export const text = `import 'modules/base'`;"),
    );
    await harness.offer(script("a", "import 'modules/top'; // 2"), module("base", "level 2"));
    checked.length = 0;
    await harness.offer(module("base", "level 3"));
    expect(checked).to.deep.equal(["modules/base", "a"]);
  });

  it("costs a change little, however many modules a text names", async () => {
    const bomb = (names: number) =>
      Array.from({ length: names }, (_, at) => `import "modules/m${at}";`).join("\n");
    const millisecondsOf = async (names: number) => {
      const harness = new Harness(async (host) =>
        host.startsWith("scripts") ? null : { key: host, line: 1, column: 1, message: "no" },
      );
      await harness.offer(
        module("bomb", bomb(names)),
        ...Array.from({ length: 200 }, (_, at) => script(`h${at}`, 'import "modules/bomb";')),
      );
      const costs: number[] = [];
      // Whatever else this process does meanwhile, collecting garbage above all, is not in each of some.
      for (let time = 0; time < 5; time += 1) {
        const begin = process.cpuUsage();
        await harness.offer(module("m1", `level ${time}`));
        await harness.offer(script("h1", `import "modules/bomb"; // ${time}`));
        const { user, system } = process.cpuUsage(begin);
        costs.push((user + system) / 1_000);
      }
      return Math.min(...costs);
    };
    const few = await millisecondsOf(100);

    expect(await millisecondsOf(20_000)).to.be.below(20 * few);
  });

  it("survives a check that throws", async () => {
    const harness = new Harness(async (host) => {
      if (host === "h3") throw new Error("no isolate left");
      return null;
    });
    await harness.offer(...Array.from({ length: 20 }, (_, index) => script(`h${index}`, "x")));
    expect(harness.live.size).to.equal(19);
    expect(harness.refusals).to.deep.equal({ "scripts/h3": "not checked: no isolate left" });
  });

  it("lets nothing wait for a check that takes its time but what belongs to it", async () => {
    const gates = new Map<string, PromiseWithResolvers<null>>();
    const harness = new Harness(async (host) => {
      if (!host.startsWith("slow")) return null;
      const gate = Promise.withResolvers<null>();
      gates.set(host, gate);
      return gate.promise;
    });
    harness.gate.offer([
      module("shared", "level 1"),
      script("slow", "import 'modules/shared';"),
      script("a", "import 'modules/shared';"),
      script("b", "export default 1;"),
    ]);
    await until("the others are live", () => harness.live.size === 3);
    expect([...harness.live.keys()].sort()).to.deep.equal([
      "modules/shared",
      "scripts/a",
      "scripts/b",
    ]);
    expect([...harness.unexamined]).to.deep.equal(["slow"]);
    harness.gate.offer([script("b", "export default 2;"), script("slow", "export default 3;")]);
    await until("the next is live", () => harness.live.get("scripts/b") === "export default 2;");
    gates.get("slow")?.resolve(null);
    await until("what came meanwhile is looked at", () => gates.size === 1);
    expect(harness.live.has("scripts/slow"), "the older one").to.equal(false);
    await until("it is asked again", () => {
      gates.get("slow")?.resolve(null);
      return harness.live.has("scripts/slow");
    });
    expect(harness.live.get("scripts/slow")).to.equal("export default 3;");
    await harness.gate.settled();
    expect([...harness.unexamined]).to.deep.equal([]);
  });

  it("looks first at what served before", async () => {
    const order: string[] = [];
    const harness = new Harness(
      async (host) => {
        order.push(host);
        return null;
      },
      true,
      "c",
    );
    await harness.offer(...["a", "b", "c"].map((host) => script(host, "x")));
    expect(order).to.deep.equal(["c", "a", "b"]);
  });
});
