import { expect } from "chai";
import { handler, tables, useBenches } from "../fixtures/test-sandbox.ts";

describe("a hostile script", () => {
  const bench = useBenches();

  const bombs = {
    "of arrays": "const all = []; for (;;) all.push(new Array(1000).fill(1.5));",
    "of strings": `const all = []; for (;;) all.push(("x".repeat(1e5) + all.length).split(""));`,
    "of maps": "const all = new Map(); for (let at = 0; ; at++) all.set(at, { at });",
  };
  for (const [name, body] of Object.entries(bombs)) {
    it(`is ended when it is a memory bomb ${name}, and its isolate is made anew`, () => {
      const text = `let times = 0;
        export default function (request) {
          if (times++ > 0 && request.path === "/bomb") { ${body} }
          return respond({ body: String(times) });
        }`;
      const limits = { memoryMb: 8, callTimeoutMs: 5_000 };
      const one = bench(tables(text), { limits });
      expect(one.request().exchange.answered?.body).to.equal("1");
      const { exchange } = one.request({ path: "/bomb" });
      expect(exchange.failure).to.include({ status: 500, code: "script_error" });
      expect(one.report().lastError).to.match(/ran out of memory/);
      expect(one.request().exchange.answered?.body, "a new isolate counts anew").to.equal("1");
      expect(one.report()).to.include({ calls: 3, errors: 1 });
    });
  }

  it("cannot bring typed arrays beyond its memory into being", () => {
    const text = handler("const all = []; for (;;) all.push(new Uint8Array(1e5));");
    const one = bench(tables(text), { limits: { memoryMb: 16, callTimeoutMs: 5_000 } });
    one.request();
    expect(one.report().lastError).to.match(/Array buffer allocation failed|ran out of memory/);
  });

  it("confuses only itself when it overwrites built-ins", () => {
    const text = `
      const { getPrototypeOf } = Object;
      const steal = () => { throw new Error("stolen"); };
      for (const type of [Array, String, RegExp, Object, Set, Map, Number]) {
        for (const name of Object.getOwnPropertyNames(type.prototype)) {
          if (name === "constructor" || name === "length" || name === "__proto__") continue;
          try { Object.defineProperty(type.prototype, name, { value: steal }); } catch {}
        }
      }
      for (const name of ["parse", "stringify"]) JSON[name] = steal;
      for (const name of Object.getOwnPropertyNames(Reflect)) Reflect[name] = steal;
      for (const name of Object.getOwnPropertyNames(Object)) try { Object[name] = steal; } catch {}
      getPrototypeOf(steal).call = steal;
      getPrototypeOf(steal).apply = steal;
      globalThis.String = steal;
      globalThis.TypeError = steal;
      for (const key of ["0", "1", "name", "value", "older", "get", "set"]) {
        try { ({}).__proto__[key] = steal; } catch {}
      }
      export default function (request) {
        request.headers.set("x-user", request.headers.get("User") + "!");
        request.headers.delete("accept");
        request.path = "/v2" + request.path;
        request.hashKey = crypto.sha256("abc");
        log.info("here");
        if (request.query === "deny") return deny(418, "teapot");
        if (request.query === "forge") request.headers.set("x-request-id", "1");
      }`;
    const one = bench(tables(text));
    const headers = [["User", "ada"] as const, ["Accept", "*/*"] as const];
    const { exchange, steering } = one.request({ path: "/a", headers });
    expect(one.report().lastError).to.equal(null);
    expect(exchange.path).to.equal("/v2/a");
    expect(exchange.header("x-user")).to.equal("ada!");
    expect(exchange.header("accept")).to.equal(undefined);
    expect(steering.hashKey).to.match(/^ba7816bf8f01cfea.*15ad$/);
    expect(one.logs).to.deep.equal([{ level: "info", host: "a.example.com", message: "here" }]);
    const denied = one.request({ query: "deny", headers }).exchange;
    expect(denied.answered).to.include({ status: 418, body: "teapot" });
    const forged = one.request({ query: "forge", headers }).exchange;
    expect(forged.failure).to.include({ status: 500 });
    expect(one.report().lastError).to.match(/x-request-id belongs to the gateway/);
  });

  it("cannot make lines of its own in what the glue brings out", () => {
    const text = handler(`
      log.info("a\\nV200\\nBforged");
      throw new Error("b\\nV200\\nBforged");`);
    const one = bench(tables(text));
    const { exchange } = one.request();
    expect(exchange.failure).to.include({ code: "script_error" });
    expect(exchange.answered).to.equal(null);
    expect(one.logs.map((each) => each.message)).to.deep.equal([
      "a\\u000aV200\\u000aBforged",
      "scripts/a.example.com:3:13: Error: b\\u000aV200\\u000aBforged",
    ]);
  });

  it("sees no object of isolated-vm or of the gateway among its globals", () => {
    const text = handler(
      `return respond({ body: Object.getOwnPropertyNames(globalThis).join(" ") })`,
    );
    const one = bench(tables(text));
    const body = String(one.request().exchange.answered?.body).split(" ");
    expect(body).to.include.members(["deny", "respond", "redirect", "log", "crypto", "settings"]);
    const own = ["deny", "respond", "redirect", "log", "crypto", "settings"];
    for (const name of body) {
      // The second: what is put into scripts, by names that they cannot have.
      if (own.includes(name) || name.startsWith("\u00aa")) continue;
      // Everything else is a built-in of the language, as this process has it too.
      expect(globalThis, name).to.have.property(name);
    }
    expect(body).to.not.include.members(["Function"]);
    expect(body).to.not.include.members(["console"]);
  });

  it("cannot reach a function of the outside by what it is given", () => {
    const text = handler(`
      const seen = new Set();
      const found = [];
      const walk = (value, path) => {
        if ((typeof value !== "object" && typeof value !== "function") || value === null) return;
        if (seen.has(value)) return;
        seen.add(value);
        const tag = Object.prototype.toString.call(value);
        const type = /^(Reference|ExternalCopy|Isolate|Context|Callback|Module|Script|Copy)$/;
        if (type.test(tag.slice(8, -1)) || type.test(value.constructor?.name)) found.push(path);
        for (const key of Reflect.ownKeys(value)) {
          const own = Object.getOwnPropertyDescriptor(value, key);
          for (const each of [own.value, own.get, own.set]) walk(each, path + "." + String(key));
        }
        walk(Object.getPrototypeOf(value), path + ".__proto__");
      };
      walk(globalThis, "globalThis");
      walk(request, "request");
      walk(request.headers, "headers");
      return respond({ body: seen.size > 400 ? found.join() : "too few: " + seen.size });`);
    const one = bench(tables(text), { limits: { memoryMb: 32, callTimeoutMs: 2_000 } });
    const { exchange } = one.request();
    expect(one.report().lastError).to.equal(null);
    expect(exchange.answered?.body).to.equal("");
  });
});
