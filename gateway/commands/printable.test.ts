import { expect } from "chai";
import { printableLine, printableText } from "./printable.ts";

describe("what is shown on a terminal", () => {
  const hostile: Readonly<Record<string, readonly [text: string, line: string]>> = {
    "an escape sequence": ["\u001b[2J\u001b]0;x\u0007", "\\u001b[2J\\u001b]0;x\\u0007"],
    "a sequence of one character": ["\u009b31m", "\\u009b31m"],
    "a line of its own": ["x\nok  gateway-1\r", "x\\nok  gateway-1\\u000d"],
    "another order": ["a\u202ecod.exe\u2066", "a\\u202ecod.exe\\u2066"],
    "nothing to be seen": ["a\u200bb\ufeff\u2028", "a\\u200bb\\ufeff\\u2028"],
    "marks that hide what follows": [
      "a\u00ad\u180e\ufff9\u{e0041}b",
      "a\\u00ad\\u180e\\ufff9\\u{e0041}b",
    ],
    "half a character": ["a\ud83d", "a\\ud83d"],
    "a tab": ["a\tb", "a\\tb"],
  };
  for (const [what, [text, line]] of Object.entries(hostile)) {
    it(`shows ${what} as an escape`, () => expect(printableLine(text)).to.equal(line));
  }

  it("leaves what people write as it is", () => {
    for (const text of ["caf\u00e9 \u4e16\u754c \ud83d\ude80 \\n", ""]) {
      expect(printableLine(text)).to.equal(text);
      expect(printableText(text)).to.equal(text);
    }
  });

  it("keeps the lines of a text", () => {
    expect(printableText("a\n\tb\r\n\u001b[0m")).to.equal("a\n\tb\\u000d\n\\u001b[0m");
  });
});
