/** What a handler sees of a path, and what of it goes to the origin. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes } from "../support/http.ts";

/** What the client wrote, and the path in normal form; the query stays as it is. */
const normalised: readonly (readonly [written: string, target: string])[] = [
  ["/", "/"],
  ["/a/b?c=d", "/a/b?c=d"],
  ["/a/b?", "/a/b?"],
  ["//admin", "/admin"],
  ["//a//b//?//", "/a/b/?//"],
  ["/./admin", "/admin"],
  ["/x/../admin", "/admin"],
  ["/x/%2e%2E/admin?/../%2e", "/admin?/../%2e"],
  ["/%61dmin?%61=%zz", "/admin?%61=%zz"],
  ["/%2e/admin?", "/admin?"],
  ["/caf%c3%a9", "/caf%C3%A9"],
  ["/%2561", "/%2561"],
  ["/a%2fb", "/a%2Fb"],
  ["/a\\b?\\", "/a\\b?\\"],
  ["/..", "/"],
];

describeEngines("paths", (bench) => {
  async function targetsOf(
    written: readonly string[],
    forwardedPath: "normal" | "raw",
    onPath: (path: string, rawPath: string) => string | null = () => null,
  ): Promise<readonly (string | undefined)[]> {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      forwardedPath,
      hooks: {
        onRequest(exchange) {
          const path = onPath(exchange.path, exchange.rawPath);
          if (path !== null) exchange.path = path;
        },
      },
    });
    const client = await bench.client(gateway);
    for (const target of written) {
      expect((await client.request(requestBytes(`GET ${target}`))).status, target).to.equal(200);
    }
    return origin.requests.map((request) => request.target);
  }

  it("are in normal form for the handler, which sees what the client wrote as well", async () => {
    const seen: string[] = [];
    await targetsOf(
      normalised.map(([written]) => written),
      "normal",
      (path, rawPath) => {
        seen.push(path, rawPath);
        return null;
      },
    );
    const pathOf = (target: string) => target.split("?", 1)[0] ?? "";
    const expected = normalised.flatMap(([written, target]) => [pathOf(target), pathOf(written)]);
    expect(seen).to.deep.equal(expected);
  });

  it("go on in normal form", async () => {
    const targets = await targetsOf(
      normalised.map(([written]) => written),
      "normal",
    );
    expect(targets).to.deep.equal(normalised.map(([, target]) => target));
  });

  it("go on as the client wrote them when that is wanted, unless the handler set them", async () => {
    const written = normalised.map(([target]) => target);
    expect(await targetsOf(written, "raw")).to.deep.equal(written);
    const set = await targetsOf(["/a//b?c", "//x"], "raw", (path) => `${path}/./%7e/set`);
    expect(set).to.deep.equal(["/a/b/~/set?c", "/x/~/set"]);
  });

  it("in absolute form are treated alike", async () => {
    const written = [
      "http://a.test//x/../%61?y",
      "http://a.test",
      "http://a.test?q",
      "http://a.test/.",
    ];
    expect(await targetsOf(written, "normal")).to.deep.equal(["/a?y", "/", "/?q", "/"]);
  });

  it("that cannot be decoded are refused, and so is NUL", async () => {
    const bad = [
      "/%",
      "/%4",
      "/%zz",
      "/a%",
      "/%%41",
      "/%00",
      "/a%00b?c",
      "http://a.test/%zz",
      "/%?",
    ];
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    for (const target of bad) {
      const client = await bench.client(gateway);
      const answer = await client.request(requestBytes(`GET ${target}`));
      expect(answer.status, target).to.equal(400);
      expect(answer.body.toString()).to.contain("bad_path");
    }
    expect(gateway.engine.stats().refused).to.deep.equal({ bad_path: bad.length });
    expect(origin.requests).to.have.length(0);
  });

  it("are refused from the handler when they are none, and say so", async () => {
    const thrown: unknown[] = [];
    const targets = await targetsOf(["/"], "normal", () => null);
    expect(targets).to.deep.equal(["/"]);
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, {
      hooks: {
        onRequest(exchange) {
          for (const bad of ["/%zz", "/%00", "/%", "a"]) {
            try {
              exchange.path = bad;
              thrown.push(bad);
            } catch (error) {
              thrown.push(error);
            }
          }
          exchange.path = "//b/%2e%2e/%41";
        },
      },
    });
    const client = await bench.client(gateway);
    await client.request(requestBytes("GET /"));
    for (const error of thrown) expect(error).to.be.instanceOf(TypeError);
    expect(origin.request.target).to.equal("/A");
  });
});
