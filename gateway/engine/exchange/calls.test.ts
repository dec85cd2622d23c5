/** What gRPC asks of an exchange: the deadline of a call, and how its peer is judged. */
import { expect } from "chai";
import { Scene, type SceneOptions } from "./fixtures/scene.ts";

const fields = ["Content-Type: application/grpc", "TE: trailers"];
const late = "client whole 200 of 0 ";

function call(timeout: string, options: SceneOptions = {}): Scene {
  return new Scene(options).request("POST /a/B", [...fields, `grpc-timeout: ${timeout}`]);
}

function sentTimeout(scene: Scene): string | undefined {
  return scene.sent?.head.fields.get("grpc-timeout");
}

describe("the deadline of a gRPC call", () => {
  it("ends a call that has no answer", () => {
    const scene = call("250m");
    scene.advance(249);
    expect(scene.said()).to.deep.equal(["open 10.0.0.1", "peer send ."]);
    scene.advance(1);
    expect(scene.said()).to.deep.equal(["peer abort", late, "release"]);
    expect(scene.tries, "blames nobody").to.deep.equal(["0 - 250"]);
    expect(scene.outcomes[0]).to.include({ status: 200, error: "deadline_exceeded" });
    scene.expectSettled();
  });

  it("ends a call that waits for a connection", () => {
    const scene = call("1S", { connections: "none" });
    scene.advance(1_000);
    expect(scene.said()).to.deep.equal(["open 10.0.0.1", "leave 10.0.0.1", late, "release"]);
    scene.expectSettled();
  });

  it("ends a call that the handler holds", () => {
    const scene = call("1S", { hooks: { onRequest: (exchange) => exchange.hold() } });
    scene.advance(1_000);
    expect(scene.said()).to.deep.equal([late, "release"]);
    scene.exchange.resume();
    scene.expectSettled();
  });

  it("ends an answer that has begun with a trailer", () => {
    const scene = call("1S");
    scene.head();
    scene.answerData("one");
    scene.said();
    scene.advance(1_000);
    expect(scene.said()).to.deep.equal([
      "peer abort",
      "client endgrpc-status: 4\r\ngrpc-message: deadline_exceeded: the call's deadline has passed\r\n",
      "release",
    ]);
    expect(scene.outcomes[0]).to.include({ status: 200, error: "deadline_exceeded" });
    scene.expectSettled();
  });

  it("cuts off an answer that can have no trailer", () => {
    const scene = call("1S");
    scene.head(["200 OK", "Content-Length: 10"]);
    scene.answerData("one");
    scene.said();
    scene.advance(1_000);
    expect(scene.said()).to.deep.equal(["peer abort", "client cut truncated", "release"]);
    scene.expectSettled();
  });

  it("leaves no time for another peer", () => {
    const scene = call("1S", { peers: 2, connections: "none" });
    // No sweep has come since the deadline passed.
    scene.pass(1_000);
    scene.noConnection({ code: "connect_failed", message: "refused" });
    expect(scene.said()).to.deep.equal(["open 10.0.0.1", late, "release"]);
    expect(scene.outcomes[0]?.error).to.equal("deadline_exceeded");
    scene.expectSettled();
  });

  it("has passed for a call without any time", () => {
    const scene = call("0m");
    expect(scene.said()).to.deep.equal([late, "release"]);
    scene.expectSettled();
  });

  it("goes to the next peer as the time that is left", () => {
    const scene = call("2S", { peers: 2, connections: "none" });
    scene.advance(300);
    scene.noConnection({ code: "connect_failed", message: "refused" });
    scene.advance(200);
    scene.connect();
    expect(sentTimeout(scene)).to.equal("1500m");
    scene.advance(1_499);
    expect(scene.isOver).to.equal(false);
    scene.advance(1);
    expect(scene.outcomes[0]?.error).to.equal("deadline_exceeded");
    scene.expectSettled();
  });

  it("is passed on as it came when no time has passed", () => {
    expect(sentTimeout(call("2S"))).to.equal("2S");
  });

  it("may be changed by the handler", () => {
    const set = (value: string | null) =>
      call("60S", {
        hooks: {
          onRequest: (exchange) => {
            if (value === null) exchange.removeHeader("grpc-timeout");
            else exchange.setHeader("grpc-timeout", value);
          },
        },
      });
    const shorter = set("1S");
    shorter.advance(1_000);
    expect(shorter.outcomes[0]?.error).to.equal("deadline_exceeded");
    const none = set(null);
    none.advance(59_999);
    expect(none.isOver).to.equal(false);
  });

  for (const value of ["", "5", "S", "-1S", "1.5S", "123456789m", "1 S", "1s", "soon"])
    it(`is refused when it is malformed: "${value}"`, () => {
      const scene = call(value);
      expect(scene.said()).to.deep.equal([late, "release"]);
      expect(scene.outcomes[0]?.error).to.equal("bad_grpc_timeout");
      scene.expectSettled();
    });

  const units: readonly [string, number][] = [
    ["1H", 3_600_000],
    ["1M", 60_000],
    ["1500000u", 1_500],
    ["99999999n", 100],
  ];
  for (const [value, ms] of units)
    it(`is understood: ${value}`, () => {
      // The peer sends something now and then, and so is not late itself.
      const scene = call(value);
      scene.head();
      for (let left = ms - 1; left > 0; left -= 30_000) {
        scene.answerData(".");
        scene.advance(Math.min(left, 30_000));
      }
      expect(scene.isOver).to.equal(false);
      scene.advance(1);
      expect(scene.outcomes[0]?.error).to.equal("deadline_exceeded");
    });

  it("means nothing for other requests", () => {
    const scene = new Scene().request("POST /", ["TE: trailers", "grpc-timeout: 1S"]);
    scene.advance(30_000);
    expect(scene.isOver).to.equal(false);
  });
});

describe("a peer that answers a gRPC call", () => {
  const judged: readonly [string, number][] = [
    ["0", 200],
    ["5", 404],
    ["2", 500],
    ["4", 504],
    ["12", 501],
    ["13", 500],
    ["14", 503],
    ["77", 500],
  ];
  for (const [status, http] of judged) {
    it(`is judged by grpc-status ${status} in the trailer`, () => {
      const scene = call("1S");
      scene.head();
      scene.answerEnd(`x-a: grpc-status: 0\r\nGrpc-Status: ${status}\r\n`);
      expect(scene.tries).to.deep.equal([`${http} - 0`]);
      expect(scene.outcomes[0]?.status, "which the client's status is not").to.equal(200);
    });

    it(`is judged by grpc-status ${status} in the head`, () => {
      const scene = call("1S");
      scene.bodiless(["200 OK", `grpc-status: ${status}`, "Content-Length: 0"]);
      expect(scene.tries).to.deep.equal([`${http} - 0`]);
    });
  }

  it("is judged by HTTP's status when that is an error", () => {
    const scene = call("1S");
    scene.bodiless(["502 Bad Gateway", "grpc-status: 0", "Content-Length: 0"]);
    expect(scene.tries).to.deep.equal(["502 - 0"]);
  });

  it("is not judged by it when the request is no call", () => {
    const scene = new Scene().request("POST /", ["TE: trailers"]);
    scene.head();
    scene.answerEnd("grpc-status: 14\r\n");
    expect(scene.tries).to.deep.equal(["200 - 0"]);
  });
});
