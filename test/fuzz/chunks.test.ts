/**
 * The decoder of chunked bodies against a plain judge of the same rules; and however its input is cut,
 * it says the same.
 */
import { expect } from "chai";
import { ChunkedDecoder } from "../../gateway/engine/message/chunked.ts";
import { fromEnvironment, seedOf } from "../support/effort.ts";
import { mutated, pick } from "../support/mutation.ts";
import { cuts, seeded } from "../support/random.ts";
import { judgeChunks } from "./chunk-oracle.ts";

const inputs = fromEnvironment("FUZZ_INPUTS", 30_000);

const bodies: readonly string[] = [
  "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
  "0\r\n\r\n",
  "A;x\r\n0123456789\r\n000\r\nX-Sum: 1\r\nX-More:\r\n\r\n",
  '3 ;q="a;b"\r\nabc\r\n1\t ; c\r\nd\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  "00000000000f\r\n123456789012345\r\n0\r\nA: b\r\n\r\n",
  `1;${"e".repeat(250)}\r\nx\r\n0;${"e".repeat(254)}\r\n\r\n`,
  `2\r\nok\r\n0\r\nX: ${"y".repeat(8_170)}\r\n\r\n`,
  `2\r\nok\r\n0\r\n${"A: b\r\n".repeat(1_365)}\r\n`,
];

interface Decoded {
  readonly state: "whole" | "more" | "broken";
  readonly error: string;
  readonly body: string;
  readonly trailer: string;
  readonly end: number;
}

/** Feeds the pieces; the end is where the decoder stopped, counted from the start. */
function decode(decoder: ChunkedDecoder, bytes: Buffer, offsets: readonly number[]): Decoded {
  decoder.reset();
  const body: Buffer[] = [];
  let from = 0;
  let end = 0;
  for (const to of [...offsets, bytes.length]) {
    // A piece of a larger buffer, as sockets give them.
    const piece = bytes.subarray(from, to);
    const stopped = decoder.decode(piece, 0, {
      onChunkData: (buffer, start, stop) => {
        if (stop <= start) throw new Error("an empty piece of body");
        body.push(buffer.subarray(start, stop));
      },
    });
    end = from + stopped;
    from = to;
    if (decoder.error !== "" || decoder.isDone) break;
  }
  const state = decoder.error !== "" ? "broken" : decoder.isDone ? "whole" : "more";
  return {
    state,
    error: decoder.error,
    body: Buffer.concat(body).toString("latin1"),
    trailer: state === "whole" ? decoder.trailer : "",
    end: state === "whole" ? end : 0,
  };
}

function generated(random: () => number): Buffer {
  const kind = random();
  const bytes =
    kind < 0.1
      ? pick(random, bodies)
      : mutated(random, kind < 0.8 ? pick(random, bodies.slice(0, 5)) : pick(random, bodies));
  return Buffer.from(bytes, "latin1");
}

describe("fuzz: chunked bodies", function () {
  this.timeout(600_000);

  it(`are decoded as the rules say, however they are cut (${inputs} inputs)`, () => {
    const random = seeded(seedOf() + 2);
    const decoder = new ChunkedDecoder();
    const seen = { whole: 0, more: 0, broken: 0 };
    for (let n = 0; n < inputs; n += 1) {
      const bytes = generated(random);
      const judged = judgeChunks(bytes);
      const whole = decode(decoder, bytes, []);
      const where = JSON.stringify(bytes.toString("latin1").slice(0, 500));
      // A trailer that cannot become valid may be refused before its end came.
      const isEarly = judged.state === "more" && whole.state === "broken";
      if (whole.state !== judged.state && !isEarly) {
        expect.fail(`${where}: ${whole.state} ${whole.error}, the judge says ${judged.state}`);
      }
      expect(whole.body, where).to.equal(judged.body.toString("latin1"));
      if (judged.state === "whole") {
        expect([whole.trailer, whole.end], where).to.deep.equal([judged.trailer, judged.end]);
      }
      seen[judged.state] += 1;
      const offsets =
        random() < 0.2 && bytes.length < 200
          ? Array.from({ length: bytes.length - 1 }, (_, at) => at + 1)
          : cuts(random, bytes.length, 4);
      const split = decode(decoder, bytes, offsets);
      // Which of two faults is named may depend on the cut.
      const same = { ...whole, error: split.error };
      expect(split, `${where} (${bytes.length} bytes) cut at ${offsets}`).to.deep.equal(same);
    }
    for (const count of Object.values(seen)) expect(count).to.be.greaterThan(inputs / 100);
  });
});
