/**
 * Answers the primary's questions: one handler for each question in `model/messages.ts`. A handler runs between
 * requests, so it looks only at what the question asks for.
 */
import type {
  Answered,
  Asked,
  Explanation,
  ImaginedRequest,
  ImaginedStream,
  Question,
  QuestionName,
  RoutedUpstream,
  ToPrimary,
  UpstreamLoad,
} from "../model/index.ts";
import type { Gateway } from "./gateway.ts";
import type { Reporter } from "./reporter.ts";

/** What the handlers can look at. */
export interface Answering {
  readonly gateway: Gateway;
  readonly reporter: Reporter;
  readonly explain: (asked: ImaginedRequest) => Explanation;
  readonly explainStream: (asked: ImaginedStream) => Explanation;
}

type Answers = {
  readonly [N in QuestionName]: (asked: Asked<N>, worker: Answering) => Answered<N>;
};

const answers: Answers = {
  upstreams: (keys, { gateway }) => gateway.router.describe(keys),
  loads: (keys, { gateway }) => gateway.router.describe(keys).map(loadOf),
  explain: (asked, { explain }) => explain(asked),
  explainStream: (asked, worker) => worker.explainStream(asked),
  report: (_nothing, { reporter }) => {
    void reporter.report();
    return null;
  },
  alive: () => null,
};

/** Returns the message that answers a question. When a handler throws, the error is the answer. */
export function answer(question: Question, worker: Answering): ToPrimary {
  const { id } = question;
  try {
    return { type: "answer", id, answer: answerTo(question.name, question.asked, worker) };
  } catch (error) {
    return { type: "noAnswer", id, reason: error instanceof Error ? error.message : String(error) };
  }
}

function answerTo<N extends QuestionName>(name: N, asked: Asked<N>, worker: Answering) {
  return answers[name](asked, worker);
}

function loadOf({ name, peers }: RoutedUpstream): UpstreamLoad {
  let down = 0;
  let inFlight = 0;
  for (const peer of peers) {
    if (peer.state === "err") down += 1;
    inFlight += peer.inFlight;
  }
  return { name, peers: peers.length, down, inFlight };
}
