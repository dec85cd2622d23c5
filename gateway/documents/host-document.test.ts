import { expect } from "chai";
import { DocumentError } from "./document-error.ts";
import { parseHostDocument } from "./host-document.ts";

const key = "sluice/hosts/shop.example";
const parse = (value: unknown) => parseHostDocument(key, JSON.stringify(value));
const refused = (value: unknown) => {
  expect(() => parse(value)).to.throw(DocumentError);
  try {
    parse(value);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "";
};

describe("a host document", () => {
  it("is read with a name, an upstream and a split, longest prefix first", () => {
    const document = parse({
      paths: {
        "/": "web",
        "/api": { upstream: "api" },
        "/cart": { split: { cart: 95, "cart-v2": 5 } },
      },
      enable: true,
    });
    expect(document).to.deep.equal({
      enable: true,
      paths: [
        {
          prefix: "/cart",
          shares: [
            { upstream: "cart", weight: 95 },
            { upstream: "cart-v2", weight: 5 },
          ],
        },
        { prefix: "/api", shares: [{ upstream: "api", weight: 1 }] },
        { prefix: "/", shares: [{ upstream: "web", weight: 1 }] },
      ],
    });
  });

  it("takes a service's DNS name as an upstream, and a slash at a prefix's end as none", () => {
    const document = parse({ paths: { "/a/": "_thumb._v2.service.consul" } });
    expect(document).to.deep.equal({
      enable: true,
      paths: [{ prefix: "/a", shares: [{ upstream: "_thumb._v2.service.consul", weight: 1 }] }],
    });
  });

  it("has prefixes in the form in which paths are matched", () => {
    const { paths } = parse({ paths: { "//%61/%c3%a9//": "a", "//": "b" } });
    expect(paths.map(({ prefix }) => prefix)).to.deep.equal(["/a/%C3%A9", "/"]);
  });

  it("says what becomes of encoded slashes, and has them in prefixes only where they pass", () => {
    expect(parse({ paths: { "/": "a" }, encoded_slashes: "refuse" })).to.include({
      encodedSlashes: "refuse",
    });
    const passing = parse({ paths: { "/a%2fb": "a" }, encoded_slashes: "pass" });
    expect(passing).to.include({ encodedSlashes: "pass" });
    expect(passing.paths[0]?.prefix).to.equal("/a%2Fb");
  });

  it("names the key, the path and what is wrong", () => {
    const cases: readonly (readonly [unknown, string])[] = [
      [{}, "has neither paths nor routes"],
      [{ paths: {} }, "paths: is empty"],
      [{ paths: [] }, "paths: [] is not an object"],
      [{ paths: { api: "web" } }, 'paths["api"]: does not start with /'],
      [{ paths: { "/a/../b": "web" } }, 'paths["/a/../b"]: has a "." or ".." segment'],
      [{ paths: { "/a/%2E./b": "web" } }, 'paths["/a/%2E./b"]: has a "." or ".." segment'],
      [{ paths: { "/a?b": "web" } }, 'paths["/a?b"]: has a ? or #; a prefix is a path alone'],
      [{ paths: { "/a b": "web" } }, 'paths["/a b"]: has a character that must be percent-encoded'],
      [{ paths: { "/a%zz": "web" } }, 'paths["/a%zz"]: has a malformed percent-escape, or %00'],
      [{ paths: { "/%00": "web" } }, 'paths["/%00"]: has a malformed percent-escape, or %00'],
      [
        { paths: { "/a%2Fb": "web" } },
        'paths["/a%2Fb"]: no path has an encoded slash or a backslash unless encoded_slashes is "pass"',
      ],
      [
        { paths: { "/a\\b": "web" }, encoded_slashes: "refuse" },
        'paths["/a\\\\b"]: no path has an encoded slash or a backslash unless encoded_slashes is "pass"',
      ],
      [{ paths: { "/a": "x", "//%61": "y" } }, 'paths["//%61"]: the same prefix is there twice'],
      [{ paths: { "/a": "x", "/a/": "y" } }, 'paths["/a/"]: the same prefix is there twice'],
      [
        { paths: { "/": "no such" } },
        'paths["/"]: "no such" is not the name of an upstream or a service',
      ],
      [{ paths: { "/": {} } }, 'paths["/"]: has neither upstream nor split'],
      [{ paths: { "/": { upstream: "a", weight: 1 } } }, 'paths["/"]: unknown field "weight"'],
      [{ paths: { "/": { split: { a: 1001 } } } }, 'paths["/"].split.a: 1001 is above 1000'],
      [{ paths: { "/": { split: { a: -1 } } } }, 'paths["/"].split.a: -1 is below 0'],
      [{ paths: { "/": { split: { a: 0 } } } }, 'paths["/"].split: every share is 0'],
      [{ paths: { "/": { split: {} } } }, 'paths["/"].split: is empty'],
      [
        { paths: { "/": 5 } },
        'paths["/"]: 5 is not an upstream\'s name, {"upstream": ...} or {"split": {...}}',
      ],
      [
        { paths: {}, plugins: ["compress"] },
        'plugins[0]: "compress" is not "script" or a plugin with its options, such as {"compress": {}}',
      ],
      [
        { paths: {}, plugins: [{ rateLimits: {} }] },
        'plugins[0]: unknown field "rateLimits" (did you mean "rateLimit"?); plugins[0]: is not one plugin with its options; the plugins are compress, headers, ipAllow, ipDeny, path, rateLimit, redirect',
      ],
      [{ paths: { "/": "web" }, path: {} }, 'unknown field "path" (did you mean "paths"?)'],
      [{ paths: { "/": "web" }, trailers: "x-sum" }, 'trailers: "x-sum" is not a list'],
    ];
    for (const [value, problem] of cases) expect(refused(value)).to.equal(`${key}: ${problem}`);
  });

  it("lists every path that is wrong", () => {
    expect(refused({ paths: { a: "web", "/b?": "web", "/c": { split: { x: 0 } } } })).to.equal(
      `${key}: paths["a"]: does not start with /; paths["/b?"]: has a ? or #; a prefix is a path alone; paths["/c"].split: every share is 0`,
    );
    expect(refused({ paths: { "/a": { split: { x: -1, y: 1001 } } } })).to.equal(
      `${key}: paths["/a"].split.x: -1 is below 0; paths["/a"].split.y: 1001 is above 1000`,
    );
  });

  it("may name trailers, in lower case", () => {
    const paths = { "/": "web" };
    expect(parse({ paths, trailers: ["x-sum", "grpc-status"] }).trailers).to.deep.equal([
      ...["x-sum", "grpc-status"],
    ]);
    expect(parse({ paths })).to.not.have.property("trailers");
  });

  for (const name of [
    ...["X-Sum", "x_sum", "x.sum", "", "x sum", "x:sum", "host", "content-length", "connection"],
    ...["transfer-encoding", "te", "trailer", "via", "x-request-id", "authorization", "cookie"],
    ...["x-forwarded-for", "x-forwarded-prefix", "x-real-ip", "forwarded", "content-type"],
    ...["set-cookie", "expect", "upgrade", "keep-alive", "proxy-connection", ":path"],
  ]) {
    it(`refuses ${JSON.stringify(name)} as the name of a trailer`, () => {
      expect(() => parse({ paths: { "/": "web" }, trailers: ["x-sum", name] })).to.throw(
        DocumentError,
        `trailers[1]: ${JSON.stringify(name)} is not a name in lower case that a trailer may have`,
      );
    });
  }

  it("keeps apart 10,000 paths", () => {
    const paths = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, at) => [`/p${at}`, "web"] as const),
    );
    const document = parse({ paths });
    expect(document.paths).to.have.length(10_000);
    expect(document.paths[0]?.prefix).to.equal("/p1000");
    expect(document.paths.at(-1)?.prefix).to.equal("/p9");
  });
});
