/** Tests every state of an exchange against everything that its wires can tell it then. */
import { expect } from "chai";
import { type EventName, eventsInStates } from "./fixtures/phase-table.ts";
import { Scene } from "./fixtures/scene.ts";

const length = ["Content-Length: 6"];

/** A body of six bytes follows each PUT; where a body has begun, three of them have come. */
const states: Readonly<Record<keyof typeof eventsInStates, () => Scene>> = {
  held: () =>
    new Scene({ hooks: { onRequest: (exchange) => exchange.hold() } }).request("PUT /", length),
  waiting: () => begun(new Scene({ connections: "none" })),
  sending: () => begun(new Scene()),
  awaiting: () => new Scene().request("GET /"),
  answering: () => answering(new Scene().request("GET /")),
  "answering an upload": () => answering(begun(new Scene())),
  tunnel: () => {
    const scene = new Scene().request("GET /", ["Connection: Upgrade", "Upgrade: chat"]);
    scene.upgrade();
    return scene;
  },
};

function begun(scene: Scene): Scene {
  scene.request("PUT /", length);
  scene.data("abc");
  return scene;
}

function answering(scene: Scene): Scene {
  scene.head();
  scene.answerData("one");
  return scene;
}

const events: Readonly<Record<EventName, (scene: Scene) => void>> = {
  "the client goes": (scene) => scene.gone(),
  "the client's body breaks": (scene) => scene.exchange.onBroken(400, "bad_chunk", "no chunk"),
  "the client sends more": (scene) => scene.data("def"),
  "the client's body ends": (scene) => scene.exchange.onEnd(""),
  "nobody moves": (scene) => scene.advance(3_700_000),
  "no connection can be had": (scene) =>
    scene.noConnection({ code: "connect_failed", message: "refused" }),
  "no connection is free in time": (scene) =>
    scene.noConnection({ code: "queue_timeout", message: "late" }),
  "a connection is there": (scene) => scene.connect(),
  "the peer has no room, then has": (scene) => {
    if (scene.stream !== null) scene.stream.hasRoom = false;
    expect(scene.data("def")).to.equal(false);
    scene.peerDrain();
  },
  "the client has no room, then has": (scene) => {
    scene.downstream.hasRoom = false;
    scene.answerData("two");
    scene.drain();
  },
  "the client takes nothing": (scene) => {
    scene.downstream.hasRoom = false;
    scene.answerData("two");
    scene.advance(60_000);
  },
  "an interim answer": (scene) => scene.interim("103 Early Hints"),
  "a whole answer": (scene) => scene.whole("fine"),
  "an answer's head": (scene) => scene.head(),
  "more of the answer": (scene) => scene.answerData("two"),
  "the answer's end": (scene) => scene.answerEnd("X-Sum: 1\r\n"),
  "the peer switches": (scene) => scene.upgrade("first"),
  "the peer goes": (scene) => scene.failed(),
  "the peer breaks the rules": (scene) => scene.failed("bad_response"),
};

describe("an exchange", () => {
  for (const [state, table] of Object.entries(eventsInStates)) {
    describe(`that is ${state}`, () => {
      for (const [event, expected] of Object.entries(table)) {
        it(`when ${event}`, () => {
          const scene = states[state as keyof typeof states]();
          scene.said();
          events[event as EventName](scene);
          const [outcome] = scene.outcomes;
          const end = outcome === undefined ? "goes on" : `${outcome.status} ${outcome.error}`;
          const tries = scene.tries.map((one) => `try ${one.split(" ", 2).join(" ")}`);
          const became = [...scene.said(), ...tries, end.trim()];
          expect(became).to.deep.equal(expected);
          if (scene.isOver) scene.expectSettled();
        });
      }
    });
  }
});
