/** Bodies that go through taps, with fakes on both sides. `test/engine/taps.test.ts` tests them over sockets. */
import { constants, createGunzip, createGzip, gunzipSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { ZlibTap } from "../../../test/support/zlib-tap.ts";
import type { BodyTap, TapOutput } from "../tap.ts";
import { Scene, type SceneOptions } from "./fixtures/scene.ts";

/** A tap that does nothing by itself: the test acts for it. */
class HandTap implements BodyTap {
  readonly heard: string[] = [];
  hasRoom = true;
  out: TapOutput | null = null;

  begin(out: TapOutput): void {
    this.out = out;
    this.heard.push("begin");
  }
  write(piece: Buffer): boolean {
    this.heard.push(piece.toString());
    return this.hasRoom;
  }
  end(): void {
    this.heard.push("end");
  }
  onDrain(): void {
    this.heard.push("drain");
  }
  abort(): void {
    this.heard.push("abort");
  }
}

const tappingAnswer = (tap: BodyTap, options: SceneOptions = {}) =>
  new Scene({
    ...options,
    hooks: {
      onResponse(exchange) {
        exchange.tapAnswer(tap);
        exchange.setResponseHeader("content-encoding", "gzip");
      },
    },
  });

const tappingRequest = (tap: BodyTap, options: SceneOptions = {}) =>
  new Scene({ ...options, hooks: { onRequest: (exchange) => exchange.tapRequest(tap) } });

describe("an answer's tap", () => {
  it("gets the pieces, and what it gives later goes to the client with the trailers behind it", () => {
    const tap = new HandTap();
    const scene = tappingAnswer(tap).request("GET /");
    scene.head(["200 OK", "Content-Length: 6"]);
    expect(scene.sent?.answerHead.isStreamed, "no length is announced").to.equal(true);
    scene.answerData("abc");
    scene.answerData("def");
    scene.answerEnd("X-Sum: 1\r\n");
    expect(tap.heard).to.deep.equal(["begin", "abc", "def", "end"]);
    expect(scene.tries, "the peer is done").to.deep.equal(["200 - 0"]);
    expect(scene.isOver).to.equal(false);
    tap.out?.write(Buffer.from("later"));
    tap.out?.end();
    expect(scene.said().slice(-4)).to.deep.equal([
      "client head 200",
      "client data later",
      "client endX-Sum: 1\r\n",
      "release",
    ]);
    expect(scene.outcomes[0]?.bytesOut).to.equal(5);
    scene.expectSettled();
  });

  it("gets the body of a small answer that came whole, and of one that replaces the origin's", () => {
    for (const replaced of [false, true]) {
      const tap = new HandTap();
      const scene = new Scene({
        hooks: {
          onResponse(exchange) {
            exchange.tapAnswer(tap);
            if (replaced) exchange.replaceAnswer({ status: 404, body: "none" });
          },
        },
      }).request("GET /");
      scene.whole("body");
      expect(tap.heard).to.deep.equal(["begin", replaced ? "none" : "body", "end"]);
      tap.out?.end();
      expect(scene.outcomes[0]?.status).to.equal(replaced ? 404 : 200);
      scene.expectSettled();
    }
  });

  it("is not asked where there is no body, and an answer to HEAD loses its length", () => {
    for (const [line, status] of [
      ["HEAD /", "200 OK"],
      ["GET /", "304 Not Modified"],
    ] as const) {
      const tap = new HandTap();
      const scene = tappingAnswer(tap).request(line);
      scene.bodiless([status, "Content-Length: 9"]);
      expect(tap.heard).to.deep.equal([]);
      expect(scene.said().at(-2)).to.equal(`client whole ${status.slice(0, 3)} `);
      scene.expectSettled();
    }
  });

  it("holds back the peer while it has no room, and is held back by the client", () => {
    const tap = new HandTap();
    const scene = tappingAnswer(tap).request("GET /");
    scene.head();
    tap.hasRoom = false;
    scene.answerData("a");
    expect(scene.said().at(-1)).to.equal("peer pause");
    scene.answerData("b");
    scene.answerData("c");
    tap.hasRoom = true;
    tap.out?.resume();
    expect(tap.heard).to.deep.equal(["begin", "a", "b", "c"]);
    expect(scene.said()).to.deep.equal(["peer resume"]);
    scene.downstream.hasRoom = false;
    expect(tap.out?.write(Buffer.from("x"))).to.equal(false);
    scene.drain();
    expect(tap.heard.at(-1)).to.equal("drain");
    scene.answerEnd();
    tap.out?.end();
    scene.expectSettled();
  });

  it("hears of the end after what came while it had no room", () => {
    const tap = new HandTap();
    const scene = tappingAnswer(tap).request("GET /");
    scene.head();
    tap.hasRoom = false;
    scene.answerData("a");
    scene.answerData("b");
    scene.answerEnd();
    expect(tap.heard).to.deep.equal(["begin", "a"]);
    tap.hasRoom = true;
    tap.out?.resume();
    expect(tap.heard).to.deep.equal(["begin", "a", "b", "end"]);
    tap.out?.end();
    scene.expectSettled();
  });

  const ends: readonly [string, (scene: Scene) => void, string][] = [
    ["the client goes", (scene) => scene.gone(), "client_closed"],
    ["the peer goes", (scene) => scene.failed(), "truncated"],
    ["it is too slow", (scene) => scene.advance(60_000), "tap_timeout"],
  ];
  for (const [what, end, error] of ends) {
    it(`is let go once when ${what}, and does nothing any more`, () => {
      const tap = new HandTap();
      const scene = tappingAnswer(tap).request("GET /");
      scene.head();
      scene.answerData("abc");
      if (error === "tap_timeout") scene.answerEnd();
      end(scene);
      expect(tap.heard.filter((one) => one === "abort")).to.have.length(1);
      expect(scene.outcomes[0]?.error).to.equal(error);
      const before = scene.log.length;
      tap.out?.write(Buffer.from("late"));
      tap.out?.resume();
      tap.out?.end();
      tap.out?.fail(500, "late", "late");
      expect(scene.log).to.have.length(before);
      scene.expectSettled();
    });
  }

  it("that fails cuts the answer off", () => {
    const tap = new HandTap();
    const scene = tappingAnswer(tap).request("GET /");
    scene.head();
    tap.out?.fail(500, "bad_content", "no");
    expect(scene.said().slice(-3)).to.deep.equal(["peer abort", "client cut truncated", "release"]);
    expect(scene.outcomes[0]?.error).to.equal("bad_content");
    scene.expectSettled();
  });

  it("that throws cuts the answer off", () => {
    const tap = new HandTap();
    tap.write = () => {
      throw new Error("thrown");
    };
    const scene = tappingAnswer(tap).request("GET /");
    scene.head();
    scene.answerData("abc");
    expect(scene.outcomes[0]?.error).to.equal("handler_error");
    expect(scene.errors.splice(0)).to.have.length(1);
    scene.expectSettled();
  });

  it("goes with an answer that another try takes the place of", () => {
    const tap = new HandTap();
    let isFirst = true;
    const scene = new Scene({
      peers: 2,
      hooks: {
        onResponse(exchange) {
          if (!isFirst) return;
          isFirst = false;
          exchange.tapAnswer(tap);
          expect(exchange.tryAgain()).to.equal(true);
        },
      },
    }).request("GET /");
    scene.whole("first");
    scene.whole("second");
    expect(tap.heard).to.deep.equal([]);
    expect(scene.said().at(-2)).to.equal("client whole 200 of 6 second");
    scene.expectSettled();
  });

  it("may be gzip's: a streaming answer keeps flowing", async () => {
    const tap = new ZlibTap(createGzip(), true);
    const scene = tappingAnswer(tap).request("GET /");
    const chunks = scene.downstream.chunks;
    const flushed = () =>
      gunzipSync(Buffer.concat(chunks), { finishFlush: constants.Z_SYNC_FLUSH }).toString();
    scene.head();
    let sent = "";
    for (const piece of ["one ", "two ", "three "]) {
      scene.answerData(piece);
      sent += piece;
      await until(`${piece} came`, () => chunks.length > 0 && flushed() === sent);
    }
    scene.answerEnd("X-Sum: 1\r\n");
    await until("it ended", () => scene.isOver);
    expect(gunzipSync(Buffer.concat(chunks)).toString()).to.equal(sent);
    expect(scene.said().at(-2)).to.equal("client endX-Sum: 1\r\n");
    scene.expectSettled();
  });
});

describe("a request's tap", () => {
  it("gets the pieces from the first on, and what it gives is what is sent and held for another try", () => {
    const tap = new HandTap();
    const scene = tappingRequest(tap, { peers: 2 }).request("PUT /", ["Content-Length: 6"]);
    expect(scene.sent?.isStreamed).to.equal(true);
    expect(scene.sent?.bodyLength).to.equal(-1);
    scene.data("abc");
    tap.out?.write(Buffer.from("ABC"));
    scene.data("def");
    scene.exchange.onEnd("");
    tap.out?.write(Buffer.from("DEF"));
    tap.out?.end();
    scene.failed("response_timeout");
    scene.whole("fine");
    expect(tap.heard).to.deep.equal(["begin", "abc", "def", "end"]);
    expect(scene.said()).to.deep.equal([
      "open 10.0.0.1",
      "peer send ...",
      "peer data ABC",
      "peer data DEF",
      "peer end",
      "open 10.0.0.2",
      "peer send ABCDEF.",
      "client whole 200 of 4 fine",
      "release",
    ]);
    expect(scene.outcomes[0]?.bytesIn).to.equal(6);
    scene.expectSettled();
  });

  it("gets a body that came whole with its head", () => {
    const tap = new HandTap();
    const body = Buffer.from("abc");
    const scene = tappingRequest(tap).request("POST /", ["Content-Length: 3"], body);
    expect(tap.heard).to.deep.equal(["begin", "abc", "end"]);
    tap.out?.write(Buffer.from("ABC"));
    tap.out?.end();
    scene.whole("fine");
    expect(scene.said().slice(0, 4)).to.deep.equal([
      "open 10.0.0.1",
      "peer send ...",
      "peer data ABC",
      "peer end",
    ]);
    scene.expectSettled();
  });

  it("is not asked where there is no body", () => {
    const tap = new HandTap();
    const scene = tappingRequest(tap).request("GET /");
    scene.whole("fine");
    expect(tap.heard).to.deep.equal([]);
    expect(scene.said()[1]).to.equal("peer send .");
    scene.expectSettled();
  });

  it("holds back the client while it has no room, and is held back by the peer", () => {
    const tap = new HandTap();
    const scene = tappingRequest(tap).request("PUT /", ["Content-Length: 6"]);
    tap.hasRoom = false;
    expect(scene.data("abc")).to.equal(false);
    tap.out?.resume();
    expect(scene.said().at(-1)).to.equal("client resume");
    if (scene.stream !== null) scene.stream.hasRoom = false;
    expect(tap.out?.write(Buffer.from("ABC"))).to.equal(false);
    scene.peerDrain();
    expect(tap.heard.at(-1)).to.equal("drain");
    scene.gone();
    expect(tap.heard.at(-1)).to.equal("abort");
    scene.expectSettled();
  });

  it("that is too slow is answered for with 500", () => {
    const tap = new HandTap();
    const body = Buffer.from("abc");
    const scene = tappingRequest(tap).request("POST /", ["Content-Length: 3"], body);
    scene.advance(60_000);
    expect(scene.outcomes[0]).to.include({ status: 500, error: "tap_timeout" });
    expect(tap.heard.at(-1)).to.equal("abort");
    scene.expectSettled();
  });

  it("may be gunzip's, which refuses what is no gzip", async () => {
    const good = gzipSync("plain ".repeat(1_000));
    const scene = tappingRequest(new ZlibTap(createGunzip()));
    scene.request("PUT /", [`Content-Length: ${good.length}`], good);
    await until("it is sent", () => scene.log.at(-1) === "peer end");
    scene.whole("fine");
    scene.expectSettled();

    const bad = tappingRequest(new ZlibTap(createGunzip()));
    bad.request("PUT /", ["Content-Length: 5"], Buffer.from("plain"));
    await until("it is over", () => bad.isOver);
    expect(bad.outcomes[0]).to.include({ status: 400, error: "bad_content" });
    bad.expectSettled();
  });
});
