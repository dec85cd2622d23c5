import { expect } from "chai";
import { findJsonFault, findLostName } from "./json-fault.ts";

describe("finding where a text stops being JSON", () => {
  it("gives line, column and what was expected", () => {
    const cases: readonly (readonly [string, number, number, string])[] = [
      ["", 1, 1, "the text ends where a value is expected"],
      ["hello", 1, 1, 'found "h" where a value is expected'],
      ['{"a": 1,\n}', 2, 1, 'found "}" where a field name in double quotes is expected'],
      ["{'a': 1}", 1, 2, 'found "\'" where a field name in double quotes or "}" is expected'],
      ['{"a" 1}', 1, 6, 'found "1" where ":" is expected'],
      ["[1\n 2]", 2, 2, 'found "2" where "," or "]" is expected'],
      ['{"a": [1, 2]', 1, 13, 'the text ends where "," or "}" is expected'],
      ["{} {}", 1, 4, 'found "{" where the end is expected'],
      ['["a\nb"]', 1, 2, "a text in quotes is not closed or has a bad character where"],
    ];
    for (const [text, line, column, problem] of cases) {
      const fault = findJsonFault(text);
      expect(fault, text).to.include({ line, column });
      expect(fault?.problem).to.contain(problem);
    }
  });

  it("agrees with JSON.parse on what is JSON", () => {
    const text = '{"a":[1,-2.5e3,true,null,"x\\u00e9\\n"],"b":{"c":{}},"":[[],[{}]]}';
    const strange = ['"', "\\", "{", "}", "[", "]", ",", ":", " ", "0", "-", "e", "\n", "é", "\0"];
    for (let at = 0; at < text.length; at += 1)
      for (const put of ["", ...strange]) {
        const broken = text.slice(0, at) + put + text.slice(at + 1);
        let isJson = true;
        try {
          JSON.parse(broken);
        } catch {
          isJson = false;
        }
        expect(findJsonFault(broken) === null, broken).to.equal(isJson);
      }
  });

  it("does not overflow on deep nesting", () => {
    expect(findJsonFault("[".repeat(500_000))?.column).to.equal(500_001);
  });
});

describe("finding names that JSON.parse would lose", () => {
  it("gives the place of the later one, in the object that has both", () => {
    for (const [text, line, column] of [
      ['{"a":1,"a":2}', 1, 8],
      ['{"a":[{"b":1},\n{"b":2,"c":{},"b":3}]}', 2, 15],
      ['{"a\\n":1,"\\u0061\\n":2}', 1, 10],
      ['{"":{},"":{}}', 1, 8],
      ['[[{"x":{"__proto__":1}}]]', 1, 9],
    ] as const)
      expect(findLostName(text), text).to.include({ line, column });
  });

  it("takes values, escaped quotes and other objects for what they are", () => {
    for (const text of [
      '{"a":"a","b":["a","a"],"c":{"a":{"a":{}}},"d":"a"}',
      '[{"a":1},{"a":1}]',
      '{"a\\"":1,"a":"\\"a\\":","b":",\\"a\\""}',
      '{"a":[],"b":[{}],"c":"__proto__"}',
      '"a"',
      "12",
    ]) {
      JSON.parse(text);
      expect(findLostName(text), text).to.equal(null);
    }
  });

  it("does not overflow on deep nesting or long texts", () => {
    expect(findLostName("[".repeat(200_000) + "]".repeat(200_000))).to.equal(null);
    expect(findLostName(`{"${"\\n".repeat(200_000)}":"${'\\"'.repeat(100_000)}"}`)).to.equal(null);
  });
});
