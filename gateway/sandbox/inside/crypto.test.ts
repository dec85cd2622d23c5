import { createHash, createHmac } from "node:crypto";
import { expect } from "chai";
import { Bench, tables } from "../fixtures/test-sandbox.ts";

/** Lengths around the block size of 64 bytes and its padding, and every width of UTF-8. */
const texts = [
  ...[0, 1, 2, 3, 54, 55, 56, 57, 63, 64, 65, 119, 120, 1000].map((length) => "a".repeat(length)),
  "é€𐍈 \u0000\u007f\u0080",
  `${"x".repeat(61)}\u{10ffff}`,
  "~\ud800!",
];

describe("crypto in a script", () => {
  let bench: Bench;
  const { script, module } = tables(`export default () => {
    const { run, args } = settings.call;
    return respond({ body: JSON.stringify(crypto[run](...args)) });
  };`);
  before(() => {
    bench = new Bench({ script, module, setting: new Map() });
  });
  after(() => bench.sandbox.dispose());

  function call(run: string, ...args: string[]): unknown {
    bench.sandbox.apply({ script, module, setting: new Map([["call", { run, args }]]) });
    const { exchange } = bench.request();
    if (exchange.answered === null) throw new Error(bench.report().lastError ?? "no answer");
    return JSON.parse(String(exchange.answered.body));
  }

  for (const name of ["md5", "sha256"]) {
    it(`${name} is that of node:crypto`, () => {
      for (const text of texts) {
        const hash = () => createHash(name).update(text);
        expect(call(name, text), text).to.equal(hash().digest("hex"));
        expect(call(name, text, "base64"), text).to.equal(hash().digest("base64"));
        expect(call(name, text, "base64url"), text).to.equal(hash().digest("base64url"));
      }
    });
  }

  for (const name of ["md5", "sha1", "sha256"]) {
    it(`hmac with ${name} is that of node:crypto`, () => {
      for (const text of texts) {
        for (const key of ["", "key", "k".repeat(64), "é".repeat(40)]) {
          const expected = createHmac(name, key).update(text).digest("hex");
          expect(call("hmac", name, key, text), `${key} ${text}`).to.equal(expected);
        }
      }
    });
  }

  it("base64 is that of node:buffer, both ways", () => {
    for (const text of texts) {
      const encoded = Buffer.from(text).toString("base64");
      expect(call("base64Encode", text)).to.equal(encoded);
      expect(call("base64Decode", encoded)).to.equal(Buffer.from(text).toString());
      expect(call("base64Decode", Buffer.from(text).toString("base64url"))).to.equal(
        Buffer.from(text).toString(),
      );
    }
    expect(call("base64Decode", "/8A=")).to.equal("\ufffd\ufffd");
  });

  it("says what is wrong with its arguments", () => {
    expect(() => call("hmac", "sha512", "a", "b")).to.throw(/"sha256", "sha1" or "md5"/);
    expect(() => call("md5", "a", "latin1")).to.throw(/"hex", "base64" or "base64url"/);
    expect(() => call("base64Decode", "a*")).to.throw(/not base64/);
  });
});
