import { expect } from "chai";
import { parseHostDocument } from "../documents/index.ts";
import { request } from "./fixtures/requests.ts";
import { HostRules } from "./host-rules.ts";

const rulesOf = (paths: Readonly<Record<string, string>>) =>
  new HostRules("a.example", parseHostDocument("hosts/a.example", JSON.stringify({ paths })));

describe("rules of a host", () => {
  it("hold for a path whose reserved characters are escaped, as they do for the others", () => {
    const rules = rulesOf({ "/": "web", "/@admin": "admin", "/v1/x%3Adelete": "delete" });
    const found = (path: string) =>
      rules.find(request("a.example", path))?.split.sides[0]?.upstream;
    for (const path of ["/@admin", "/%40admin", "/%40admin/x"])
      expect(found(path), path).to.equal("admin");
    for (const path of ["/v1/x:delete", "/v1/x%3Adelete"])
      expect(found(path), path).to.equal("delete");
    for (const path of ["/%2540admin", "/@adminx", "/v1/x%2Fdelete"])
      expect(found(path), path).to.equal("web");
  });

  it("are refused when two of them are one, however they are written", () => {
    expect(() => rulesOf({ "/@admin": "a", "/%40admin": "b" })).to.throw("the same prefix");
  });
});
