import { expect } from "chai";
import type { ExplainedShare, Explanation } from "../model/index.ts";
import { describe as told } from "./explain.ts";

const limit = (value: number, by: "upstream" | "gateway" = "gateway") => ({ value, by });
const share: ExplainedShare = {
  upstream: "shop",
  percent: 90,
  policy: "wrr",
  why: null,
  limits: {
    maxTries: limit(3, "upstream"),
    tryTimeoutMs: limit(0),
    connectTimeoutMs: limit(1_000),
    sendTimeoutMs: limit(60_000),
    readTimeoutMs: limit(2_000, "upstream"),
  },
  bounds: {
    requests: { inFlight: 2, elsewhere: 1, most: 10, waiting: 0, queue: 5 },
    breaker: { state: "open", openForMs: 3_210 },
    retries: { taken: 100, most: 100 },
  },
  peers: [
    {
      ...{ address: "10.0.0.4:80", level: 0, weight: 1, effectiveWeight: 1, fails: 0 },
      ...{
        inFlight: 2,
        elsewhere: 0,
        answers: 0,
        errors: 0,
        latencyMs: 0,
        state: "ok",
        downForMs: null,
        since: null,
      },
      reason: "no failure",
    },
  ],
  next: "10.0.0.4:80",
  host: "inside.example",
};
const explanation: Explanation = {
  version: 42,
  request: { method: "GET", host: "shop.example", path: "/api", query: "q=1" },
  sites: [
    {
      host: "shop.example",
      document: "hosts/shop.example",
      service: null,
      phases: [{ name: "script", says: ["it runs"], changes: ["path: /a -> /api"] }],
    },
  ],
  outcome: {
    ...{ kind: "forward", by: "hosts/shop.example", rule: "/api", shares: [share] },
    passedOver: [{ route: "routes[0] (beta)", why: "there is no header x-beta" }],
    side: { name: "shop", by: "forced" },
    sticky: { by: "cookie side", to: "server", says: "the request has none" },
  },
};

describe("what sluice explain prints", () => {
  it("is what the request meets, and each upstream with its peers and limits", () => {
    expect(told(explanation)).to.deep.equal([
      "GET shop.example/api?q=1, version 42",
      "",
      "site shop.example: hosts/shop.example",
      "  script: it runs",
      "    path: /a -> /api",
      "",
      "hosts/shop.example, routes[0] (beta) does not match: there is no header x-beta",
      "hosts/shop.example, path /api sends it to",
      "  shop, 90 % of requests, by wrr",
      "    next  10.0.0.4:80  level 0  weight 1  ok  2 in flight  no failure",
      "    Host: inside.example",
      "    tries 3 (its own); all tries no limit, connect 1 s, send 60 s, read 2 s (its own)",
      "    requests 3 of 10; 0 of 5 wait in this worker",
      "    circuit breaker open, for 3.3 s more",
      "    no retry for now: 100 in the last seconds",
      "it belongs to shop: the request meets what the side forces",
      "its client stays with its server by cookie side: the request has none",
    ]);
  });

  it("ends with the gateway's own answer, or with what holds the request", () => {
    const answer = {
      kind: "answer",
      status: 404,
      code: "no_route",
      message: "no such host",
    } as const;
    const lines = told({ ...explanation, sites: [], outcome: { ...answer, headers: {} } });
    expect(lines.at(-1)).to.equal("the gateway answers 404 no_route: no such host");
    const held = told({ ...explanation, outcome: { kind: "held", by: "until shop is watched" } });
    expect(held.at(-1)).to.equal("it is held until shop is watched");
  });
});
