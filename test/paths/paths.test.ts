/**
 * However a client writes a path, everything that decides takes it for the same one, and it is that one that
 * the origin is asked for: rules of documents, scripts with and without `match`, signed addresses.
 */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { PeerBook } from "../../gateway/balancing/index.ts";
import { parseHostDocument, parseUpstreamDocument } from "../../gateway/documents/index.ts";
import type { Engine, EngineOptions } from "../../gateway/engine/engine.ts";
import { emptyTables } from "../../gateway/model/index.ts";
import { createLogger } from "../../gateway/observability/logger.ts";
import { Traffic } from "../../gateway/observability/traffic.ts";
import { source } from "../../gateway/sandbox/fixtures/test-sandbox.ts";
import { createSandbox, type Sandbox } from "../../gateway/sandbox/index.ts";
import { type RequestContext, Router } from "../../gateway/sites/index.ts";
import { createEngine } from "../../gateway/worker/engine-choice.ts";
import { FailureLog } from "../../gateway/worker/failure-log.ts";
import { Gateway } from "../../gateway/worker/gateway.ts";
import { HiddenServices } from "../../gateway/worker/hidden-services.ts";
import { openClient, type RawClient, requestBytes } from "../support/client.ts";
import { engineKinds } from "../support/engines.ts";
import { LoopClock } from "../support/loop-clock.ts";
import { type Origin, ok, startOrigin } from "../support/origin.ts";
import { type PathCase, pathCases } from "./path-cases.ts";

const key = "only for this test";
const rules = { "/": "root", "/admin": "admin" };

const documents: Readonly<Record<string, unknown>> = {
  "rules.test": { paths: rules },
  "odd-rules.test": { paths: { "/": "root", "//%61dmin/": "admin" } },
  "plain.test": { paths: { "/": "root" } },
  "refuse.test": { paths: { "/": "root" }, encoded_slashes: "refuse" },
  "pass.test": { paths: rules, encoded_slashes: "pass" },
  "match.test": { paths: { "/": "root" } },
  "match-pass.test": { paths: { "/": "root" }, encoded_slashes: "pass" },
  "all.test": { paths: { "/": "root" } },
  "seen.test": { paths: { "/": "root" } },
  "set.test": { paths: rules },
  "moved.test": { paths: { "/": "root" } },
  "signed.test": { paths: { "/": "root" } },
};

const denyAdmin = `export const match = { paths: ["//adm%69%6e/"] };
  export default () => deny(403, "admin\\n");`;
const scripts: Readonly<Record<string, string>> = {
  "match.test": denyAdmin,
  "match-pass.test": denyAdmin,
  // With a match that leaves out no path.
  "all.test": `export const match = { paths: ["/"] };
    export default (request) => { request.headers.set("x-script", "ran"); }`,
  "seen.test": `export default ({ path, rawPath }) =>
    respond({ body: JSON.stringify({ path, rawPath }) });`,
  "set.test": `export default (request) => { request.path = "/x/.." + request.rawPath; };`,
  "moved.test": `export default (request) => { request.host = "rules.test"; };`,
  "signed.test": readFileSync(new URL("../../scripts/signed-urls.js", import.meta.url), "utf8"),
};

/** A worker's rooms without the worker: an engine, a gateway, a router and a sandbox, on real sockets. */
class Bench {
  readonly origins: Readonly<Record<"root" | "admin", Origin>>;
  /** Of the scripts, and of the gateway itself. */
  readonly errors: readonly unknown[];
  readonly #sandbox: Sandbox;
  readonly #engine: Engine;
  readonly #port: number;

  private constructor(
    origins: Readonly<Record<"root" | "admin", Origin>>,
    sandbox: Sandbox,
    engine: Engine,
    port: number,
    errors: readonly unknown[],
  ) {
    this.errors = errors;
    this.origins = origins;
    this.#sandbox = sandbox;
    this.#engine = engine;
    this.#port = port;
  }

  static async open(
    kind: "http1" | "reference",
    forwardedPath: "normal" | "raw" = "normal",
  ): Promise<Bench> {
    const origins = { root: await startOrigin(ok("root")), admin: await startOrigin(ok("admin")) };
    const tables = emptyTables();
    for (const [name, origin] of Object.entries(origins)) {
      const servers = [{ host: "127.0.0.1", port: origin.port }];
      const text = JSON.stringify({ servers });
      tables.upstream.set(name, parseUpstreamDocument(`upstreams/${name}`, text));
    }
    for (const [host, document] of Object.entries(documents)) {
      tables.host.set(host, parseHostDocument(`hosts/${host}`, JSON.stringify(document)));
    }
    for (const [host, text] of Object.entries(scripts)) tables.script.set(host, source(text));
    tables.setting.set("signing", { key });
    const log = createLogger({ name: "test", level: "fatal" });
    const { now } = new LoopClock();
    const errors: unknown[] = [];
    // Machines that run tests are busy: a good script must not fail for that.
    const limits = { memoryMb: 16, callTimeoutMs: 60_000 };
    const sandbox = createSandbox({ limits, log: (...line) => errors.push(line) });
    sandbox.apply(tables);
    let engine: Engine | null = null;
    const book = new PeerBook({ onRetired: (peer) => engine?.retire(peer) });
    const gateway = new Gateway({
      router: Router.build(
        tables,
        book,
        { random: Math.random, now, scripts: sandbox.hosts },
        null,
      ),
      sandbox,
      log,
      failures: new FailureLog(log, now),
      hidden: new HiddenServices(log, now),
      exposes: ["documents"],
      accessLog: null,
      traffic: new Traffic(),
      now,
      watchTimeoutMs: 1_000,
      askForService: () => {},
    });
    const options: EngineOptions<RequestContext> = {
      handler: gateway,
      idPrefix: "test",
      forwardedPath,
      onError: (error) => errors.push(error),
      now,
    };
    engine = createEngine(kind, options);
    const { port } = await engine.listen({ host: "127.0.0.1", port: 0 });
    return new Bench(origins, sandbox, engine, port, errors);
  }

  async client(): Promise<RawClient> {
    return openClient(this.#port);
  }

  /** Status and body, and what the origin was asked for. */
  async ask(client: RawClient, host: string, target: string): Promise<Seen> {
    const before = [this.origins.root.requests.length, this.origins.admin.requests.length];
    const answer = await client.request(requestBytes(`GET ${target}`, [`Host: ${host}`]));
    const asked = [
      ...this.origins.root.requests.slice(before[0]),
      ...this.origins.admin.requests.slice(before[1]),
    ].map((request) => request.target);
    return { status: answer.status, body: answer.body.toString(), asked };
  }

  async close(): Promise<void> {
    await this.#engine.drain(0);
    for (const origin of Object.values(this.origins)) await origin.close();
    this.#sandbox.dispose();
  }
}

interface Seen {
  readonly status: number;
  readonly body: string;
  readonly asked: readonly string[];
}

function signatureOf(path: string): string {
  return createHmac("sha256", key).update(`${path}?expires=99999999999`).digest("base64url");
}

describe("path cases", () => {
  it("are many, each written in its own way", () => {
    expect(pathCases.length).to.be.at.least(100);
    expect(new Set(pathCases.map(({ written }) => written)).size).to.equal(pathCases.length);
  });
});

for (const kind of engineKinds()) {
  describe(`paths, engine ${kind}`, () => {
    let bench: Bench;
    let client: RawClient | null = null;

    before(async () => {
      bench = await Bench.open(kind);
    });
    afterEach(() => {
      expect(bench.errors).to.deep.equal([]);
      client?.close();
      client = null;
    });
    after(() => bench.close());

    /** On one connection, as long as nothing is refused before it is a request. */
    async function ask(host: string, target: string): Promise<Seen> {
      if (client === null || client.ended || client.closed) client = await bench.client();
      return bench.ask(client, host, target);
    }

    /** For each case: what is expected of a path, of one with an encoded slash, and of one that is none. */
    async function eachCase(
      host: string,
      check: (seen: Seen, one: PathCase & { readonly path: string }) => void,
      encodedSlashes: "refuse" | "pass" = "refuse",
    ): Promise<void> {
      for (const one of pathCases) {
        const { written, path, hasEncodedSlash } = one;
        const seen = await ask(host, `${written}?q=/../%zz//`);
        const about = `${host} ${written}`;
        if (path === null) {
          expect(seen, about).to.deep.include({ status: 400, asked: [] });
          expect(seen.body, about).to.contain("bad_path");
          client?.close();
          client = null;
        } else if (hasEncodedSlash && encodedSlashes === "refuse") {
          expect(seen, about).to.deep.include({ status: 400, asked: [] });
          expect(seen.body, about).to.contain("encoded_slash");
        } else {
          check(seen, { ...one, path });
        }
      }
    }

    const served = (seen: Seen, rule: string, path: string) =>
      expect(seen, path).to.deep.equal({ status: 200, body: rule, asked: [`${path}?q=/../%zz//`] });

    it("are matched by the rules of a document, and forwarded as they were matched", async () => {
      await eachCase("rules.test", (seen, { rule, path }) => served(seen, rule, path));
    });

    it("are matched by rules that are written in another way", async () => {
      await eachCase("odd-rules.test", (seen, { rule, path }) => served(seen, rule, path));
    });

    it("may have encoded slashes where nothing decides by the path", async () => {
      for (const host of ["plain.test", "all.test"])
        await eachCase(host, (seen, { path }) => served(seen, "root", path), "pass");
    });

    it("may have none where the document refuses them, and may where it lets them pass", async () => {
      await eachCase("refuse.test", (seen, { path }) => served(seen, "root", path));
      await eachCase("pass.test", (seen, { rule, path }) => served(seen, rule, path), "pass");
    });

    it("are matched by a script's match", async () => {
      const check = (seen: Seen, { rule, path }: { rule: string; path: string }) => {
        if (rule === "root") served(seen, "root", path);
        else expect(seen, path).to.deep.equal({ status: 403, body: "admin\n", asked: [] });
      };
      await eachCase("match.test", check);
      await eachCase("match-pass.test", check, "pass");
    });

    it("are shown to a script in normal form, and as the client wrote them", async () => {
      await eachCase(
        "seen.test",
        ({ body }, { written, path }) =>
          expect(JSON.parse(body)).to.deep.equal({ path, rawPath: written }),
        "pass",
      );
    });

    it("are brought into normal form when a script sets them, and routed so", async () => {
      await eachCase("set.test", (seen, { rule, path }) => served(seen, rule, path));
    });

    it("are judged by the rules of the host that a script sets", async () => {
      await eachCase("moved.test", (seen, { rule, path }) => served(seen, rule, path));
    });

    it("cannot be used with the signature of another path, nor without one", async () => {
      const signed = signatureOf("/files/a");
      const query = `?expires=99999999999&signature=${signed}`;
      const same = [
        "/files/a",
        "//files/a",
        "/files//a",
        "/x/../files/a",
        "/%66iles/%61",
        "/files/./a",
      ];
      for (const path of same) {
        const seen = await ask("signed.test", path + query);
        expect(seen, path).to.deep.equal({ status: 200, body: "root", asked: ["/files/a"] });
        expect((await ask("signed.test", path)).status, `${path} unsigned`).to.equal(403);
      }
      for (const path of [
        "/files/b",
        "/files/a/../b",
        "/files/a/",
        "/files/a//",
        "/files/%41",
        "/%66iles",
      ])
        expect((await ask("signed.test", path + query)).status, path).to.equal(403);
      for (const path of [
        "/files%2fa",
        "/files/a%2f..%2fb",
        "/files%5ca",
        "/files\\a",
        "/x/%2e%2e%2ffiles/a",
      ])
        expect((await ask("signed.test", path + query)).status, path).to.equal(400);
      expect((await ask("signed.test", "/elsewhere")).status).to.equal(200);
    });

    it("may be signed as they are written", async () => {
      for (const [written, path] of [
        ["/files/caf%c3%a9", "/files/caf%C3%A9"],
        ["/files/%7Euser", "/files/~user"],
        ["/files//a", "/files/a"],
      ] as const) {
        const seen = await ask(
          "signed.test",
          `${written}?expires=99999999999&signature=${signatureOf(written)}`,
        );
        expect(seen, written).to.deep.equal({ status: 200, body: "root", asked: [path] });
      }
    });

    it("are decided by their normal form also when they go on as the client wrote them", async () => {
      const raw = await Bench.open(kind, "raw");
      try {
        for (const { written, path, rule, hasEncodedSlash } of pathCases) {
          if (path === null || hasEncodedSlash) continue;
          const one = await raw.client();
          const seen = await raw.ask(one, "rules.test", `${written}?q`);
          one.close();
          expect(seen, written).to.deep.equal({ status: 200, body: rule, asked: [`${written}?q`] });
        }
      } finally {
        await raw.close();
      }
    });

    it("over HTTP/1.0 and in absolute form are the same", async () => {
      for (const { written, path, rule, hasEncodedSlash } of pathCases) {
        if (path === null || hasEncodedSlash) continue;
        const seen = await ask("x.test", `http://rules.test${written}`);
        expect(seen, written).to.deep.equal({ status: 200, body: rule, asked: [path] });
      }
      const old = await bench.client();
      const answer = await old.request("GET //x/../%61dmin HTTP/1.0\r\nHost: rules.test\r\n\r\n");
      expect(answer.body.toString()).to.equal("admin");
      old.close();
    });
  });
}
