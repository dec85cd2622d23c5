/** What the exchange itself decides: tries, answers other than the origin's, deadlines that are moved on. */
import { expect } from "chai";
import type { Exchange, PeerFailure } from "../engine.ts";
import { Scene, type SceneOptions } from "./fixtures/scene.ts";

const refused: PeerFailure = { code: "connect_failed", message: "refused" };

describe("the tries of an exchange", () => {
  it("go on to the next peer with the body that is held", () => {
    const scene = new Scene({ peers: 2 }).request(
      "PUT /",
      ["Content-Length: 3"],
      Buffer.from("abc"),
    );
    scene.failed("response_timeout");
    scene.whole("fine");
    expect(scene.said()).to.deep.equal([
      "open 10.0.0.1",
      "peer send abc.",
      "open 10.0.0.2",
      "peer send abc.",
      "client whole 200 of 4 fine",
      "release",
    ]);
    expect(scene.tries).to.deep.equal(["0 response_timeout 0", "200 - 0"]);
    scene.expectSettled();
  });

  it("take a new connection when a kept one was closed as the request went out", () => {
    const scene = new Scene({ limits: { maxTries: 1 } }).request("GET /");
    scene.failed();
    scene.whole("fine");
    expect(scene.said().slice(0, 4)).to.deep.equal([
      "open 10.0.0.1",
      "peer send .",
      "open 10.0.0.1 anew",
      "peer send .",
    ]);
    expect(scene.tries, "is one try").to.deep.equal(["200 - 0"]);
    scene.expectSettled();
  });

  const notSafe: readonly [string, (scene: Scene) => void][] = [
    ["the method is not idempotent", (scene) => scene.request("POST /").failed()],
    [
      "a byte of an answer came",
      (scene) => {
        scene.request("GET /").interim("103 Early Hints");
        scene.failed();
      },
    ],
    [
      "the body is no longer held",
      (scene) => {
        scene.request("PUT /", ["Content-Length: 70000"]);
        scene.data("x".repeat(69_999));
        scene.failed();
      },
    ],
    [
      "they were as many as may be",
      (scene) => {
        scene.request("GET /").failed("response_timeout");
        scene.failed("response_timeout");
      },
    ],
    [
      "they took too long",
      (scene) => {
        scene.request("GET /").advance(59_000);
        scene.advance(70_000);
      },
    ],
  ];
  for (const [why, fail] of notSafe) {
    it(`end when ${why}`, () => {
      const scene = new Scene({ peers: 3, limits: { tryTimeoutMs: 30_000 } });
      fail(scene);
      expect(scene.outcomes[0]?.status).to.be.oneOf([502, 504]);
      scene.expectSettled();
    });
  }

  it("may be of a request that is not idempotent when the upstream says so", () => {
    const retries = { nonIdempotent: true, statuses: [] };
    const scene = new Scene({ peers: 2, target: { retries } }).request("POST /");
    scene.failed();
    scene.whole("fine");
    expect(scene.tries).to.deep.equal(["0 reset 0", "200 - 0"]);
    scene.expectSettled();
  });

  it("go on without counting while nothing was sent", () => {
    const scene = new Scene({ peers: 5, connections: "none", limits: { maxTries: 1 } });
    scene.request("POST /");
    for (let n = 0; n < 4; n += 1) scene.noConnection(refused);
    scene.connect();
    scene.whole("fine");
    expect(scene.tries).to.deep.equal([...Array(4).fill("0 connect_failed 0"), "200 - 0"]);
    scene.expectSettled();
  });

  it("end with 503 when nobody may wait for any peer", () => {
    const scene = new Scene({ peers: 2, connections: "full" }).request("GET /");
    expect(scene.outcomes[0]).to.include({ status: 503, error: "queue_full" });
    expect(scene.tries).to.deep.equal(["0 queue_full 0", "0 queue_full 0"]);
    scene.expectSettled();
  });

  it("are timed from their own beginning", () => {
    const scene = new Scene({ peers: 2, limits: { responseTimeoutMs: 500 } }).request("GET /");
    scene.advance(500);
    scene.advance(20);
    scene.whole("fine");
    expect(scene.tries).to.deep.equal(["0 response_timeout 500", "200 - 20"]);
    scene.expectSettled();
  });

  for (const [what, wait] of [
    ["readTimeoutMs", (scene: Scene) => scene.request("GET /")],
    [
      "sendTimeoutMs",
      (scene: Scene) => {
        scene.request("PUT /", ["Content-Length: 9"]);
        if (scene.stream !== null) scene.stream.hasRoom = false;
        scene.data("abc");
      },
    ],
  ] as const) {
    it(`last as long as the target's ${what} says`, () => {
      const scene = new Scene({ target: { [what]: 50 } });
      wait(scene);
      scene.advance(49);
      expect(scene.isOver).to.equal(false);
      scene.advance(1);
      expect(scene.outcomes[0]).to.include({ status: 504, error: "response_timeout" });
      scene.expectSettled();
    });
  }
});

describe("a handler of an exchange", () => {
  /** The handler acts on a whole answer, or on the head of a longer one. */
  const responding = (isWhole: boolean, options: SceneOptions): Scene => {
    const scene = new Scene(options).request("GET /");
    if (isWhole) scene.whole("origin");
    else scene.head();
    return scene;
  };

  for (const isWhole of [true, false]) {
    describe(`that is shown ${isWhole ? "a whole answer" : "the head of an answer"}`, () => {
      it("may replace it", () => {
        const scene = responding(isWhole, {
          hooks: {
            onResponse(exchange) {
              expect(exchange.status).to.equal(200);
              exchange.replaceAnswer({ status: 404, headers: { "x-new": "1" }, body: "none" });
              expect(exchange.status).to.equal(404);
              expect(exchange.responseHeader("x-new")).to.equal("1");
              exchange.setResponseHeader("x-later", "2");
            },
          },
        });
        const said = scene.said();
        expect(said.includes("peer abort")).to.equal(!isWhole);
        expect(said.slice(-2)).to.deep.equal(["client whole 404 of 4 none", "release"]);
        expect(`${scene.sent?.answerHead.fields}`).to.equal("x-new: 1\r\nx-later: 2\r\n");
        expect(scene.tries).to.deep.equal(["200 - 0"]);
        expect(scene.outcomes[0]).to.deep.equal({
          status: 404,
          error: "",
          bytesIn: 0,
          bytesOut: 4,
        });
        scene.expectSettled();
      });

      it("may fail instead", () => {
        const onResponse = (exchange: Exchange<null>) => exchange.fail(502, "bad_gateway", "no");
        const scene = responding(isWhole, { hooks: { onResponse } });
        expect(scene.outcomes[0]).to.include({ status: 502, error: "bad_gateway" });
        scene.expectSettled();
      });

      it("may ask for another try", () => {
        const seen: number[] = [];
        const scene = responding(isWhole, {
          peers: 2,
          hooks: {
            onResponse(exchange) {
              seen.push(exchange.tries);
              expect(exchange.tryAgain()).to.equal(seen.length === 1);
            },
          },
        });
        expect(scene.isOver).to.equal(false);
        scene.whole("fine");
        expect(seen).to.deep.equal([1, 2]);
        expect(scene.said().slice(-4)).to.deep.equal([
          "open 10.0.0.2",
          "peer send .",
          "client whole 200 of 4 fine",
          "release",
        ]);
        expect(scene.tries).to.deep.equal(["200 - 0", "200 - 0"]);
        scene.expectSettled();
      });

      it("keeps it when there is nobody else to ask", () => {
        const onResponse = (exchange: Exchange<null>) =>
          expect(exchange.tryAgain()).to.equal(false);
        const scene = responding(isWhole, { hooks: { onResponse } });
        if (!isWhole) scene.answerEnd();
        expect(scene.outcomes[0]?.status).to.equal(200);
        scene.expectSettled();
      });

      it("may throw", () => {
        const onResponse = () => {
          throw new Error("thrown");
        };
        const scene = responding(isWhole, { hooks: { onResponse } });
        expect(scene.outcomes[0]).to.include({ status: 500, error: "handler_error" });
        expect(scene.errors.splice(0)).to.have.length(1);
        scene.expectSettled();
      });
    });
  }

  it("may refuse a switch of protocols", () => {
    const scene = new Scene({
      hooks: { onResponse: (exchange) => exchange.replaceAnswer({ status: 403 }) },
    }).request("GET /", ["Connection: Upgrade", "Upgrade: chat"]);
    scene.upgrade("first");
    expect(scene.said().slice(-3)).to.deep.equal([
      "peer abort",
      "client whole 403 of 0 ",
      "release",
    ]);
    scene.expectSettled();
  });

  for (const phase of ["onRequest", "onPick", "onTryEnd"] as const) {
    it(`that throws in ${phase} costs its own request and no other`, () => {
      let isBroken = true;
      const fail = () => {
        if (isBroken) throw new Error("thrown");
      };
      const scene = new Scene({ peers: 2, connections: "none", hooks: { [phase]: fail } });
      scene.request("GET /");
      if (phase === "onTryEnd") scene.noConnection(refused);
      expect(scene.outcomes[0]).to.include({ status: 500, error: "handler_error" });
      expect(scene.errors.splice(0)).to.have.length(1);
      scene.expectSettled();
      isBroken = false;
      if (phase === "onPick") return;
      scene.request("GET /");
      scene.connect();
      scene.whole("fine");
      expect(scene.outcomes[1]?.status).to.equal(200);
    });
  }

  it("that holds a request goes on from there, with what has come meanwhile", () => {
    let held: Exchange<null> | null = null;
    const scene = new Scene({
      hooks: {
        onRequest(exchange) {
          if (held === null) exchange.hold();
          held = exchange;
        },
      },
    }).request("PUT /", ["Content-Length: 6"]);
    scene.data("abc");
    expect(scene.said()).to.deep.equal([]);
    (held as Exchange<null> | null)?.resume();
    scene.data("def");
    scene.exchange.onEnd("");
    scene.whole("fine");
    expect(scene.said().slice(0, 4)).to.deep.equal([
      "open 10.0.0.1",
      "peer send abc...",
      "peer data def",
      "peer end",
    ]);
    scene.expectSettled();
  });
});

describe("the deadlines of an exchange", () => {
  it("do not end an upload whose answer flows, nor an answer whose upload does", () => {
    const scene = new Scene({ limits: { bodyTimeoutMs: 100 } });
    scene.request("PUT /", ["Content-Length: 900"]);
    scene.head();
    for (let n = 0; n < 5; n += 1) {
      scene.answerData("more");
      scene.advance(99);
    }
    for (let n = 0; n < 5; n += 1) {
      scene.data("more");
      scene.advance(99);
    }
    expect(scene.isOver).to.equal(false);
    scene.advance(100);
    scene.advance(100);
    expect(scene.outcomes[0]?.error).to.equal("body_timeout");
    scene.expectSettled();
  });

  it("give a client that takes its answer slowly its time", () => {
    const scene = new Scene({ limits: { bodyTimeoutMs: 100 } }).request("GET /");
    scene.head();
    scene.downstream.hasRoom = false;
    scene.answerData("x".repeat(30));
    for (let n = 0; n < 3; n += 1) {
      scene.downstream.unsentBytes -= 5;
      scene.advance(100);
      expect(scene.isOver).to.equal(false);
    }
    scene.advance(100);
    expect(scene.outcomes[0]?.error).to.equal("client_closed");
    scene.expectSettled();
  });

  it("do not run against the peer while the client has no room, nor against the client while the peer has none", () => {
    const scene = new Scene({ limits: { bodyTimeoutMs: 100 } }).request("GET /");
    scene.head();
    scene.downstream.hasRoom = false;
    scene.answerData("x".repeat(30));
    scene.advance(50);
    scene.drain();
    scene.advance(99);
    expect(scene.isOver).to.equal(false);
    scene.answerEnd();
    scene.expectSettled();

    const upload = new Scene({
      limits: { bodyTimeoutMs: 100, queueTimeoutMs: 1_000 },
      connections: "none",
    });
    upload.request("PUT /", ["Content-Length: 90000"]);
    expect(upload.data("x".repeat(70_000)), "no more than is held").to.equal(false);
    upload.advance(900);
    expect(upload.isOver).to.equal(false);
    upload.connect();
    expect(upload.said()).to.include("client resume");
    upload.advance(100);
    expect(upload.outcomes[0]).to.include({ status: 408, error: "body_timeout" });
    upload.expectSettled();
  });
});
