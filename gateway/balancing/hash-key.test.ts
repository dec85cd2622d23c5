import { expect } from "chai";
import type { HashBy } from "../model/index.ts";
import { type KeySource, keyReader } from "./hash-key.ts";

const request = (path: string, query = "", headers: Readonly<Record<string, string>> = {}) =>
  ({
    path,
    query,
    host: "shop.example",
    clientAddress: "192.0.2.1",
    header: (name: string) => headers[name],
  }) satisfies KeySource;

describe("the key that a request stays with at its peer", () => {
  const cookies = { cookie: "other=1; sid=abc; sid=def; assid=no" };
  const cases: readonly (readonly [HashBy, KeySource, string])[] = [
    ["uri", request("/a/b"), "/a/b"],
    ["uri", request("/a/b", "x=1"), "/a/b?x=1"],
    ["path", request("/a/b", "x=1"), "/a/b"],
    ["client", request("/"), "192.0.2.1"],
    ["host", request("/"), "shop.example"],
    [{ header: "x-user" }, request("/", "", { "x-user": "7" }), "7"],
    [{ header: "x-user" }, request("/"), ""],
    [{ cookie: "sid" }, request("/", "", cookies), "abc"],
    [{ cookie: "id" }, request("/", "", cookies), ""],
    [{ cookie: "sid" }, request("/", "", { cookie: "sid=" }), ""],
    [{ cookie: "sid" }, request("/", "", { cookie: ";;  ; sid=last" }), "last"],
    [{ cookie: "sid" }, request("/"), ""],
    [{ pathSegment: 1 }, request("/users/7/cart"), "users"],
    [{ pathSegment: 2 }, request("/users/7/cart"), "7"],
    [{ pathSegment: 3 }, request("/users/7/cart"), "cart"],
    [{ pathSegment: 4 }, request("/users/7/cart"), ""],
    [{ pathSegment: 1 }, request("/"), ""],
  ];
  for (const [by, asked, key] of cases) {
    it(`is ${JSON.stringify(key)} by ${JSON.stringify(by)} of ${asked.path}`, () => {
      expect(keyReader(by)(asked)).to.equal(key);
    });
  }
});
