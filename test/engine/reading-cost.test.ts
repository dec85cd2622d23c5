/**
 * Whole readers, over the chains of calls that a single expression's cost says nothing of: four times the
 * bytes may take about four times the time. `test/linear-cost.test.ts` does the same for each expression.
 */
import { expect } from "chai";
import { defaultLimits } from "../../gateway/engine/engine.ts";
import { ChunkedDecoder } from "../../gateway/engine/message/chunked.ts";
import { RequestHead } from "../../gateway/engine/message/request-head.ts";
import { ResponseHead } from "../../gateway/engine/message/response-head.ts";
import {
  answerTrailer,
  oddTrailerNames,
  requestTrailer,
} from "../../gateway/engine/message/trailer.ts";
import { growthOf, mostGrowth } from "../support/cost.ts";

const limits = {
  ...defaultLimits,
  maxHeadBytes: 1e9,
  maxHeaders: 1e9,
  maxTargetBytes: 1e9,
};

const trusted = { scheme: "http" as const, address: "10.0.0.2", trusts: () => true };

type Fields = readonly (readonly [name: string, value: string])[];

/** Field lines of about `size` bytes each. */
const fields: Readonly<Record<string, (size: number) => Fields>> = {
  "blanks inside an option of Connection": (size) => [["Connection", `a${" ".repeat(size)}b`]],
  "blanks between options of Connection": (size) => [
    ["Connection", `a ,${" ,".repeat(size / 2)}b`],
  ],
  "blanks in an upgrade": (size) => [
    ["Connection", "upgrade"],
    ["Upgrade", `a${" ".repeat(size)}b`],
  ],
  "many options of Connection, none of which is there": (size) => [["Connection", options(size)]],
  "many options of Connection and many fields": (size) => [
    ["Connection", options(size / 2)],
    ...Array.from({ length: size / 20 }, (_, n): [string, string] => [`X-${n}`, "1234"]),
  ],
  "many fields of one name": (size) => Array.from({ length: size / 8 }, () => ["A", "1"] as const),
  "a coding of blanks": (size) => [["Transfer-Encoding", `gzip${" ".repeat(size)},chunked`]],
  "a TE of commas": (size) => [["TE", ",".repeat(size)]],
  "a host of dots": (size) => [["Host", "a.".repeat(size / 2)]],
  "odd names between others": (size) =>
    Array.from({ length: size / 12 }, (_, n) => [n % 2 === 0 ? "X_A" : "X-A", "1"] as const),
  "forwarding fields between others": (size) =>
    Array.from({ length: size / 16 }, (_, n) => [n % 2 === 0 ? "X-Real-IP" : "TE", "1"] as const),
  "hops that are trusted": (size) => [["X-Forwarded-For", "10.0.0.1, ".repeat(size / 10)]],
  "hops without an address": (size) => [["X-Forwarded-For", " ,".repeat(size / 2)]],
  "a long hop": (size) => [["X-Forwarded-For", `${" ".repeat(size)}${":".repeat(size)}`]],
  "elements of Forwarded": (size) => [["Forwarded", "for=10.0.0.1;by=a,".repeat(size / 18)]],
  "a long element of Forwarded": (size) => [["Forwarded", `for=${" ;".repeat(size / 2)}`]],
  "a long value": (size) => [["X-A", "a ".repeat(size / 2)]],
};

function options(size: number): string {
  return Array.from({ length: size / 6 }, (_, n) => n.toString(36).padStart(4, "x")).join(", ");
}

function headOf(start: string, lines: Fields): string {
  return `${start}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

function withHost(lines: Fields): Fields {
  return lines.some(([name]) => name === "Host") ? lines : [["Host", "a.test"], ...lines];
}

function expectLinear(call: (size: number) => () => unknown): void {
  expect(growthOf(call), "times as long at 4 times the size").to.be.below(mostGrowth);
}

describe("reading a head takes time in proportion to its length", () => {
  for (const [name, make] of Object.entries(fields)) {
    it(`a request's: ${name}`, () => {
      expectLinear((size) => {
        const text = headOf("GET / HTTP/1.1", withHost(make(size)));
        const head = new RequestHead();
        let read: unknown;
        return () => {
          for (const proxy of [null, trusted]) {
            head.proxy = proxy;
            head.read(text, text.length, limits);
            read = [head.story, head.fields.get("x-last"), head.fields.raw, `${head.fields}`];
          }
          return read;
        };
      });
    });

    it(`an answer's: ${name}`, () => {
      expectLinear((size) => {
        const text = headOf("HTTP/1.1 200 OK", make(size));
        const head = new ResponseHead();
        return () => {
          head.read(text, text.length, "GET");
          return head.fields.toString();
        };
      });
    });
  }

  const targets: Readonly<Record<string, (size: number) => string>> = {
    "slashes in a target": (size) => "/".repeat(size),
    "an authority of dots in a target": (size) => `http://${".".repeat(size)}/`,
    "dot segments": (size) => "/a/..".repeat(size / 5),
    "escaped dot segments": (size) => "/a/%2e%2E".repeat(size / 9),
    escapes: (size) => `/${"%61".repeat(size / 3)}`,
    "bad escapes": (size) => `/${"%".repeat(size)}`,
  };
  for (const [name, make] of Object.entries(targets)) {
    it(name, () => {
      expectLinear((size) => {
        const text = headOf(`GET ${make(size)} HTTP/1.1`, withHost([]));
        const head = new RequestHead();
        return () => head.read(text, text.length, limits);
      });
    });
  }

  it("a malformed head", () => {
    expectLinear((size) => {
      const text = `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(size / 6)}a b: c\r\n\r\n`;
      const head = new RequestHead();
      return () => head.read(text, text.length, limits);
    });
  });

  it("a trailer and the options that Connection names", () => {
    expectLinear((size) => {
      const lines = Array.from({ length: size / 12 }, (_, n) => `x-${n}: 1\r\n`).join("");
      const allowed = new Set(["x-1", "x-2"]);
      return () => {
        const passed = requestTrailer(lines, options(size / 2), allowed);
        return answerTrailer(lines, options(size / 2)) + passed + oddTrailerNames(lines, limits);
      };
    });
  });

  it("chunks of a byte each are passed on together, not one by one", () => {
    const chunks = "1\r\na\r\n".repeat(1_000);
    const large = "b".repeat(5_000);
    const bytes = Buffer.from(
      `head${chunks}1388\r\n${large}\r\n${chunks}3\r\nbcd\r\n0\r\n\r\nnext`,
    );
    const before = Buffer.from(bytes);
    const pieces: string[] = [];
    const decoder = new ChunkedDecoder();
    const end = decoder.decode(bytes, 4, {
      onChunkData: (buffer, from, to) => pieces.push(buffer.toString("latin1", from, to)),
    });
    const small = "a".repeat(1_000);
    expect(pieces).to.deep.equal([small, large, `${small}bcd`]);
    expect(bytes.toString("latin1", end)).to.equal("next");
    expect(bytes.equals(before), "others may read the same bytes").to.equal(true);
  });

  it("a trailer that comes byte by byte", () => {
    const sink = { onChunkData: () => {} };
    const growth = growthOf((size) => {
      const bytes = Buffer.from(`0\r\nx: ${"a".repeat(size)}`);
      return () => {
        const decoder = new ChunkedDecoder();
        for (let at = 0; at < bytes.length; at += 1)
          decoder.decode(bytes.subarray(at, at + 1), 0, sink);
        return decoder;
      };
    }, 2_000);
    expect(growth).to.be.below(mostGrowth);
  });
});
