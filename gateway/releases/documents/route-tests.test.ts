import { expect } from "chai";
import { DocumentError, parseHostDocument } from "../../documents/index.ts";
import { failedRouteTest } from "./route-tests.ts";

const read = (document: object) =>
  parseHostDocument("sluice/hosts/shop.example", JSON.stringify(document));
const paths = { "/": "web", "/api": "api", "/cart": { split: { cart: 95, next: 5, off: 0 } } };
const failed = (request: unknown, wanted: unknown, more: object = {}) =>
  failedRouteTest(read({ paths, ...more, tests: [{ request, expect: wanted }] }));

describe("the tests of a host document", () => {
  it("pass where the rules send the request as they say", () => {
    for (const [request, wanted] of [
      ["GET /api/x", { upstream: "api" }],
      ["DELETE /apix?y=/api", { upstream: "web" }],
      ["GET /x/../%61pi//", { upstream: "api" }],
      [{ path: "/" }, { upstream: "web" }],
      [{ method: "POST", path: "/cart/1" }, { split: { next: 5, cart: 95 } }],
      ["GET /a%2Fb", { status: 400, code: "encoded_slash" }],
      ["GET /%zz", { status: 400, code: "bad_path" }],
    ] as const) {
      expect(failed(request, wanted), JSON.stringify(request)).to.equal(null);
    }
    const api = { paths: { "/api": "api" } };
    expect(failed("GET /", { status: 404 }, api)).to.equal(null);
    expect(failed("GET /", { status: 404, code: "no_route" }, api)).to.equal(null);
    expect(failed("GET /api", { status: 404 }, { enable: false })).to.equal(null);
    expect(failed("GET /a%2Fb", { upstream: "web" }, { encoded_slashes: "pass" })).to.equal(null);
  });

  it("name the first case that fails, with what was expected and what came", () => {
    const document = read({
      paths,
      tests: [
        { request: "GET /", expect: { upstream: "web" } },
        { name: "the cart", request: "GET /cart", expect: { upstream: "cart" } },
        { request: "GET /", expect: { upstream: "api" } },
      ],
    });
    expect(failedRouteTest(document)).to.deep.equal({
      name: "tests[1] (the cart)",
      expected: '{"upstream":"cart"}',
      actual: '{"split":{"cart":95,"next":5}}',
    });
    expect(failed("GET /api", { status: 404 })).to.deep.equal({
      name: "tests[0] (GET /api)",
      expected: '{"status":404}',
      actual: '{"upstream":"api"}',
    });
    expect(failed("GET /%zz", { status: 400, code: "no_route" })?.actual).to.contain("bad_path");
  });

  it("are refused by field when they cannot be read", () => {
    for (const [request, wanted, problem] of [
      ["/api", { upstream: "api" }, 'tests[0].request: "/api" is not a method, a space and a path'],
      ["GET api", { upstream: "api" }, "is not a method, a space and a path"],
      ["GET /a b", { upstream: "api" }, "is not a method, a space and a path"],
      ["GET /", { upstreem: "api" }, "upstreem"],
      ["GET /", { status: 200 }, "tests[0].expect.status: 200 is below 400"],
      ["GET /", { split: { cart: 0 } }, "0 is below 1"],
      [{ path: "api" }, { upstream: "api" }, "tests[0].request.path"],
    ] as const) {
      expect(() => failed(request, wanted), JSON.stringify([request, wanted]))
        .to.throw(DocumentError)
        .with.property("message")
        .that.contains(problem);
    }
  });

  it("have headers that no rule looks at, which is told by field", () => {
    const headers = { cookie: "a=b" };
    const request = { path: "/", headers };
    const { ignored } = read({ paths, tests: [{ request, expect: { upstream: "web" } }] });
    expect(ignored?.map(({ field }) => field)).to.deep.equal(["tests[0].request.headers"]);
  });
});
