/**
 * What a rewrite script costs: `node bench/sandbox.ts [calls]`. No target is enforced here.
 *
 * What was measured and chosen (isolated-vm 7.0.1, Node 26, one core, microseconds at the median;
 * the second table that this prints shows the same on another machine):
 * - The changes come out as lines, a letter and a value each. A JSON object of the same changes costs
 *   more to make inside and to parse outside, and nothing changed costs nothing in either.
 * - The request goes in as one string of lines, headers last, which the code inside takes apart. A
 *   string for each field costs more at the border (2.8 against 2.0 in a run on a quiet machine).
 * - Digests are computed inside the isolate: 0.5 to 1 more than a call without one. A call out to
 *   `node:crypto` costs more than that for short texts, and nothing may cross in the middle of a call.
 */

import { createHash } from "node:crypto";
import ivm from "isolated-vm";
import { versionOf } from "../gateway/model/index.ts";
import { TestExchange } from "../gateway/sandbox/fixtures/test-exchange.ts";
import { createSandbox, type Steering } from "../gateway/sandbox/index.ts";

const calls = Number(process.argv[2] ?? 50_000);
const rounds = 9;
const headers = [
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
  ["Accept-Language", "en-US,en;q=0.5"],
  ["Accept-Encoding", "gzip, deflate, br, zstd"],
  ["Cookie", "session=0123456789abcdef; theme=dark"],
  ["X-User", "4711"],
] as const;

const scripts: Readonly<Record<string, string>> = {
  "does nothing": "export default function () {}",
  "reads method, path, a header; sets a header": `
    export default function (request) {
      if (request.method === "GET" && request.path.startsWith("/a")) {
        request.headers.set("x-shard", request.headers.get("x-user"));
      }
    }`,
  "sets three headers and the path": `
    export default function (request) {
      request.headers.set("x-one", "1");
      request.headers.set("x-two", "2");
      request.headers.set("x-three", "3");
      request.path = "/v2" + request.path;
    }`,
  "deny(403)": `export default function () { return deny(403, "no"); }`,
  "sha256 of the path": `
    export default function (request) { request.hashKey = crypto.sha256(request.path); }`,
  "md5 of the path": `
    export default function (request) { request.hashKey = crypto.md5(request.path); }`,
};

/** Microseconds per call: the median of the rounds, after one to warm up. */
function median(run: () => void): string {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const start = performance.now();
    for (let call = 0; call < calls; call += 1) run();
    if (round > 0) times.push(((performance.now() - start) * 1_000) / calls);
  }
  times.sort((a, b) => a - b);
  return (times[rounds >> 1] ?? 0).toFixed(2).padStart(7);
}

function row(name: string, run: () => void): void {
  console.log(`${median(run)}  ${name}`);
}

console.log("microseconds a call, through Script.onRequest");
const sandbox = createSandbox({ log: () => {} });
const hosts = Object.entries(scripts).map(([name, text], at) => ({ name, text, host: `h${at}` }));
sandbox.apply({
  script: new Map(
    hosts.map(({ host, text }) => [host, { text, version: versionOf(text), modifyIndex: 1 }]),
  ),
  module: new Map(),
  setting: new Map(),
});
/** Made anew for each call as an engine does; made ahead, so that making it is not measured. */
const pool = Array.from({ length: calls }, () => new TestExchange({ path: "/a/b", headers }));
for (const { name, host } of hosts) {
  const script = sandbox.hosts.get(host)?.script ?? null;
  if (script === null) throw new Error(`${host}: not found`);
  const steering: Steering = { upstream: "", hashKey: "", authority: "" };
  let next = 0;
  row(name, () => {
    const exchange = pool[next % calls];
    next += 1;
    if (exchange === undefined) return;
    exchange.answered = null;
    exchange.failure = null;
    if (exchange.path !== "/a/b") exchange.path = "/a/b";
    script.onRequest(exchange, steering);
  });
}
const unmatched = sandbox.hosts.get("h0")?.script ?? null;
const one = new TestExchange();
row("matches() alone", () => void unmatched?.matches(one));
for (const { host, errors, lastError } of sandbox.reports()) {
  if (errors > 0) console.log(`${host}: ${errors} errors: ${lastError}`);
}
sandbox.dispose();

console.log("\nthe same at the border alone");
const isolate = new ivm.Isolate({ memoryLimit: 16 });
const context = isolate.createContextSync();
// Far off: what a limit costs is measured, not what a busy machine does to it.
const limit = { timeout: 1_000 };
const inside = (code: string): ivm.Reference<(...values: unknown[]) => unknown> =>
  context.evalClosureSync(code, [], { result: { reference: true } });
const raw = new TestExchange({ headers }).rawHeaders;
const values = ["GET", "http", "a.example.com", "/a/b", "", "192.0.2.7", "id-1", raw];
const empty = inside(`return (a) => ""`);
const lines = inside(`return (a) => "Sx-shard:" + 4711 + "\\nP/v2/a\\n"`);
const json = inside(`return (a) => JSON.stringify({ set: { "x-shard": "4711" }, path: "/v2/a" })`);
const joined = inside(`return (a) => {
  let last;
  for (let at = 0, line = 0; line < 7; line++) {
    const end = a.indexOf("\\n", at);
    last = a.slice(at, end);
    at = end + 1;
  }
  return last === "id-1" ? "" : "not taken apart";
}`);
row("eight strings in, no time limit", () => void empty.applySync(undefined, values));
row("eight strings in", () => void empty.applySync(undefined, values, limit));
row("one joined string in, taken apart inside", () => {
  joined.applySync(undefined, [values.join("\n")], limit);
});
row("two changes out as lines", () => {
  const text = String(lines.applySync(undefined, values, limit));
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at);
    text.slice(at + 1, end);
    at = end + 1;
  }
});
row("two changes out as JSON", () => {
  JSON.parse(String(json.applySync(undefined, values, limit)));
});
const hash = new ivm.Callback((text: string) => createHash("md5").update(text).digest("hex"));
const calling = context.evalClosureSync("return (a) => $0(a)", [hash], {
  result: { reference: true },
});
row("md5 by a call out to node:crypto", () => void calling.applySync(undefined, ["/a/b"], limit));
isolate.dispose();

console.log("\nmilliseconds to the first answer of a script (isolate, compile, evaluate, call)");
const fresh = createSandbox({ log: () => {} });
const text = scripts["reads method, path, a header; sets a header"] ?? "";
const source = { text, version: versionOf(text), modifyIndex: 1 };
const count = 50;
const names = Array.from({ length: count }, (_, at) => `f${at}`);
fresh.apply({
  script: new Map(names.map((name) => [name, source])),
  module: new Map(),
  setting: new Map(),
});
const before = process.memoryUsage.rss();
const start = performance.now();
for (const name of names) {
  fresh.hosts.get(name)?.script?.onRequest(new TestExchange({ headers }), {
    upstream: "",
    hashKey: "",
    authority: "",
  });
}
console.log(((performance.now() - start) / count).toFixed(2).padStart(7));
const each = (process.memoryUsage.rss() - before) / count / 1_048_576;
console.log(`${each.toFixed(1).padStart(7)}  MiB of resident memory each`);
fresh.dispose();
