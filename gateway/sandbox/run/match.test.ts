import { expect } from "chai";
import { matchesExchange, parseMatch } from "./match.ts";

const matches = (match: object, method: string, path: string) =>
  matchesExchange(parseMatch(match), { method, path });

describe("match", () => {
  it("takes a method in any case, since some origins do", () => {
    const match = { methods: ["DELETE"] };
    for (const method of ["DELETE", "delete", "Delete"])
      expect(matches(match, method, "/"), method).to.equal(true);
    for (const method of ["GET", "DELETES", "dele"])
      expect(matches(match, method, "/"), method).to.equal(false);
  });

  it("takes a path whose reserved characters are escaped, and is itself written either way", () => {
    for (const written of ["/@admin", "/%40admin"]) {
      const match = { paths: [written] };
      for (const path of ["/@admin", "/%40admin", "/%40admin/x%2Fy", "/@admin/%7B"])
        expect(matches(match, "GET", path), path).to.equal(true);
      for (const path of ["/%2540admin", "/admin", "/@administrator", "/%40admin%2Fx"])
        expect(matches(match, "GET", path), path).to.equal(false);
    }
  });
});
