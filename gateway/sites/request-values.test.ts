import { expect } from "chai";
import { cookieOf } from "../balancing/index.ts";
import type { ValueCondition } from "../model/index.ts";
import { request } from "./fixtures/requests.ts";
import { queryParameter, queryParameters } from "./query-parameter.ts";
import { RequestValues } from "./request-values.ts";

const condition = (place: ValueCondition["in"], name: string): ValueCondition => ({
  in: place,
  name,
  test: { present: true },
});

/** Yields texts made from these pieces, the same in each run. */
function* texts(pieces: readonly string[], count: number): Generator<string> {
  let state = 1;
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 0; i < count; i += 1)
    yield Array.from({ length: next(10) }, () => pieces[next(pieces.length)] ?? "").join("");
}

describe("what a request has", () => {
  const names = ["a", "b", "ab", "a b", "a=", "%"];

  it("is the same whether one parameter of a query is asked for or all are", () => {
    const pieces = ["a", "b", "%61", "%6", "%", "+", "=", "&", "%3D", "%26", "\u00e9"];
    for (const query of texts(pieces, 5_000)) {
      const all = queryParameters(query);
      for (const name of names)
        expect(queryParameter(query, name), `${name} in ${query}`).to.equal(all.get(name));
    }
  });

  it("is the same whether few or many questions are asked", () => {
    const pieces = ["a", "b", "ab", "=", ";", "; ", " ", '"', "%61"];
    const values = new RequestValues();
    for (const cookie of texts(pieces, 5_000)) {
      values.begin(request("h", "/", { headers: { cookie } }));
      for (const name of ["x", "y", "z", "w", "a", "b", "ab"])
        expect(values.of(condition("cookie", name)), `${name} in ${cookie}`).to.equal(
          cookieOf(cookie, name),
        );
    }
  });

  it("is looked for a few times only, however many questions are asked", () => {
    let looks = 0;
    const asked = {
      ...request("h", "/"),
      get query() {
        looks += 1;
        return "a=1";
      },
      header: () => {
        looks += 1;
        return "a=1";
      },
    };
    const values = new RequestValues();
    values.begin(asked);
    for (let i = 0; i < 1_000; i += 1) {
      expect(values.of(condition("header", `h${i % 2}`))).to.equal("a=1");
      expect(values.of(condition("query", "a"))).to.equal("1");
      expect(values.of(condition("cookie", "a"))).to.equal("1");
    }
    expect(looks).to.be.below(10);
  });

  it("is that of the next request once that has begun", () => {
    const values = new RequestValues();
    for (const value of ["1", "2"]) {
      const headers = { "x-a": value, cookie: `a=${value}` };
      values.begin(request("h", "/", { headers, query: `a=${value}` }));
      for (let i = 0; i < 10; i += 1)
        for (const [place, name] of [
          ["header", "x-a"],
          ["cookie", "a"],
          ["query", "a"],
        ] as const)
          expect(values.of(condition(place, name))).to.equal(value);
    }
  });
});
