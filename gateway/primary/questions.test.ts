import { expect } from "chai";
import type { Question } from "../model/index.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { type Askable, Questions } from "./questions.ts";

const keys = { upstreams: ["a"], services: [] };

/** A worker that keeps what it is asked. */
class Listener implements Askable {
  readonly id: number;
  readonly pid: number;
  readonly heard: Question[] = [];

  constructor(id: number) {
    this.id = id;
    this.pid = 100 + id;
  }

  send(message: Question): void {
    this.heard.push(message);
  }

  get lastId(): number {
    return this.heard.at(-1)?.id ?? 0;
  }
}

describe("questions to workers", () => {
  const make = () => {
    const clock = new ManualClock();
    const questions = new Questions(clock);
    const one = new Listener(1);
    const two = new Listener(2);
    const answer = (worker: Listener, id = worker.lastId) =>
      questions.take(worker.id, { type: "answer", id, answer: [] });
    return { clock, questions, one, two, answer };
  };

  it("gives each worker's answer, in the order of the workers", async () => {
    const { clock, questions, one, two, answer } = make();
    const asked = questions.ask([one, two], "upstreams", keys);
    expect(one.heard).to.deep.equal([{ type: "question", id: 1, name: "upstreams", asked: keys }]);
    answer(two);
    answer(one);
    expect(await asked).to.deep.equal({
      replies: [
        { worker: 1, pid: 101, answer: [] },
        { worker: 2, pid: 102, answer: [] },
      ],
      unanswered: [],
    });
    expect(clock.pending).to.equal(0);
  });

  it("does not wait past the deadline, says who was late, and drops what comes afterwards", async () => {
    const { clock, questions, one, two, answer } = make();
    const asked = questions.ask([one, two], "upstreams", keys, 300);
    answer(one);
    clock.advance(300);
    const { replies, unanswered } = await asked;
    expect(replies.map(({ worker }) => worker)).to.deep.equal([1]);
    expect(unanswered).to.deep.equal([{ worker: 2, pid: 102, why: "late" }]);
    answer(two);
    const again = questions.ask([two], "upstreams", keys, 300);
    answer(two);
    expect((await again).unanswered).to.deep.equal([]);
  });

  it("says at once that a worker has ended meanwhile", async () => {
    const { clock, questions, one, two, answer } = make();
    const asked = questions.ask([one, two], "upstreams", keys);
    answer(one);
    questions.left(2);
    expect((await asked).unanswered).to.deep.equal([{ worker: 2, pid: 102, why: "ended" }]);
    expect(clock.pending).to.equal(0);
  });

  it("passes on why a worker has no answer", async () => {
    const { questions, one } = make();
    const asked = questions.ask([one], "upstreams", keys);
    questions.take(1, { type: "noAnswer", id: one.lastId, reason: "no such table" });
    expect((await asked).unanswered[0]?.why).to.equal("failed: no such table");
  });

  it("sends a worker that does not answer no more than 32 questions, also after their deadlines", async () => {
    const { clock, questions, one, answer } = make();
    const asked = Array.from({ length: 40 }, () => questions.ask([one], "upstreams", keys));
    clock.advance(10_000);
    const reasons = (await Promise.all(asked)).map(({ unanswered }) => unanswered[0]?.why);
    expect(reasons.filter((why) => why === "late")).to.have.length(32);
    expect(reasons.filter((why) => why === "busy")).to.have.length(8);
    expect(one.heard).to.have.length(32);
    const refused = await questions.ask([one], "upstreams", keys);
    expect(refused.unanswered[0]?.why).to.equal("busy");
    answer(one, 1);
    const accepted = questions.ask([one], "upstreams", keys);
    answer(one);
    expect((await accepted).unanswered).to.deep.equal([]);
  });
});
