import type { ServerResponse } from "node:http";
import { expect } from "chai";
import { settled, until } from "../../test/support/conditions.ts";
import { type ConsulClient, createConsul } from "../api/client.ts";
import { fastClock, jumpingClock } from "../fixtures/clocks.ts";
import {
  answerJson,
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from "../fixtures/scripted-server.ts";
import { readCatalog } from "../services/catalog.ts";
import { Watch, type WatchEvent, type WatchOptions } from "./watch.ts";

/** A minute of the watch is 300 ms of the test. */
const factor = 200;
/** What is left of a query's deadline in the machine's time: none must pass because the machine is busy. */
const patienceMs = 300_000;

type Names = ReadonlyMap<string, readonly string[]>;

/** The short wait after an error ends as a wait without a change does. */
function endingProbes(script: Script): Script {
  return (response, request, count) => {
    const { query } = request;
    if (query.get("wait") === "500ms") answerJson(response, query.get("index") ?? "", {});
    else script(response, request, count);
  };
}

describe("a watch", () => {
  let server: ScriptedServer;
  let consul: ConsulClient;
  let watch: Watch<Names>;
  let clock: ReturnType<typeof fastClock | typeof jumpingClock>;
  let events: WatchEvent<Names>[];
  let states: string[];

  const begin = async (
    script: Script,
    options: Partial<WatchOptions<Names>> & { readonly clock?: typeof clock } = {},
    times = factor,
  ) => {
    server = await startScriptedServer(endingProbes(script));
    consul = createConsul({ url: server.url }, {});
    clock = options.clock ?? fastClock(times);
    events = [];
    states = [];
    watch = new Watch({
      name: "catalog",
      clock,
      random: () => 0.5,
      marginMs: patienceMs * times,
      query: (query) => readCatalog(consul, query),
      onAnswer: (event) => events.push(event),
      onStateChange: ({ state }) => states.push(state),
      ...options,
    });
    watch.start();
  };

  afterEach(async () => {
    await watch.stop();
    expect(clock.pending(), "timers left").to.equal(0);
    // A query that was taken back may still be on its way to the server.
    const asked = await settled(() => server.requests.length, 4);
    expect(await settled(() => server.requests.length, 3), "queries after stop").to.equal(asked);
    consul.close();
    await server.stop();
  });

  const names = () => events.map((event) => [...event.value.keys()].join());
  const indexes = () => server.requests.map(({ query }) => query.get("index"));
  const hang = (response: ServerResponse) => void response;

  it("reads at once, then waits on the index that it got", async () => {
    await begin((response, _, count) => {
      if (count <= 2) answerJson(response, count * 10, { [`s${count}`]: [] });
    });
    await until("the third query waits", () => server.requests.length === 3);
    expect(names()).to.deep.equal(["s1", "s2"]);
    expect(indexes()).to.deep.equal([null, "10", "20"]);
    expect(server.requests[1]?.query.get("wait")).to.equal("27000ms");
    expect(watch.status()).to.include({ name: "catalog", index: 20, state: "ok", answers: 2 });
    expect(states).to.deep.equal(["ok"]);
  });

  it("says nothing when a wait ends without a change", async () => {
    await begin((response, { query }, count) => {
      if (count < 4) setTimeout(() => answerJson(response, 5, {}), query.has("index") ? 60 : 0);
    });
    await until("it waits for the fourth time", () => server.requests.length === 4);
    expect(events).to.have.length(1);
    expect(indexes()).to.deep.equal([null, "5", "5", "5"]);
    expect(watch.status().answers).to.equal(3);
  });

  it("reads again without an index when the index goes backwards", async () => {
    await begin((response, _, count) => {
      const index = [50, 3, 3][count - 1];
      if (index !== undefined) answerJson(response, index, { [`at${index}`]: [] });
    });
    await until("it waits again", () => server.requests.length === 4);
    expect(indexes()).to.deep.equal([null, "50", null, "3"]);
    expect(events.map(({ index, backwards }) => [index, backwards])).to.deep.equal([
      [50, false],
      [3, true],
    ]);
  });

  it("never waits on an index of 0, and does not spin on it", async () => {
    await begin((response) => answerJson(response, 0, {}));
    await until("it asked some times", () => server.requests.length >= 5);
    expect(new Set(indexes())).to.deep.equal(new Set([null]));
    expect(events).to.have.length(1);
  });

  it("treats an answer without an index as no answer", async () => {
    await begin((response, _, count) => answerJson(response, count === 1 ? "" : 7, {}));
    await until("it recovered", () => watch.status().state === "ok" && events.length === 1);
    expect(events[0]).to.include({ index: 7, afterError: true });
    expect(watch.status().lastError).to.contain("without X-Consul-Index");
    expect(states).to.deep.equal(["failing", "ok"]);
  });

  const faults: Record<string, (response: ServerResponse) => void> = {
    "a 403": (response) => response.writeHead(403).end("Permission denied"),
    "a 429": (response) => response.writeHead(429).end(),
    "a 500": (response) => response.writeHead(500).end("No cluster leader"),
    "a redirect": (response) => response.writeHead(302, { location: "/ui/" }).end(),
    "a page of HTML": (response) =>
      response.writeHead(200, { "content-type": "text/html", "x-consul-index": 9 }).end("<p>"),
    "half a body": (response) => {
      response.writeHead(200, { "content-length": 50, "x-consul-index": 9 });
      response.write("{", () => response.destroy());
    },
    "a body that is no JSON": (response) =>
      response.writeHead(200, { "x-consul-index": 9 }).end('{"a": [}'),
    "JSON that is no catalog": (response) => answerJson(response, 9, [1]),
    "a reset": (response) => response.destroy(),
    silence: () => slow.jump(1_000_000),
  };
  /** The machine's time, in which the deadline of a silent query passes at once. */
  let slow: ReturnType<typeof jumpingClock>;
  beforeEach(() => {
    slow = jumpingClock();
  });

  for (const [fault, answer] of Object.entries(faults))
    it(`survives ${fault}: nothing is said, then all is read at once`, async () => {
      await begin(
        (response, _, count) => {
          if (count === 1 || count === 5) answerJson(response, 8, { [`s${count}`]: [] });
          else if (count < 5) answer(response);
        },
        { clock: slow, marginMs: patienceMs },
      );
      await until("all is well again", () => watch.status().state === "ok" && events.length === 2);
      expect(indexes().slice(0, 5)).to.deep.equal([null, "8", null, null, null]);
      // The same index: what came after an error is said all the same.
      expect(names()).to.deep.equal(["s1", "s5"]);
      expect(events.map(({ afterError }) => afterError)).to.deep.equal([false, true]);
      expect(states).to.deep.equal(["ok", "failing", "ok"]);
      expect(watch.status().lastError).to.be.a("string");
    });

  it("gives up a query that hangs after wait, a sixteenth and the margin", async () => {
    await begin(hang, { waitMs: 16_000, marginMs: 2_000 }, 20);
    await until("the first is given up", () => watch.status().state === "failing");
    expect(watch.status().lastError).to.equal(
      "Consul does not answer: no whole answer for catalog within 4000 ms",
    );
    await until("its connection is closed", () => server.requests[0]?.gone === true);
    server.script = endingProbes((response, { query }) => {
      if (!query.has("index")) answerJson(response, 4, {});
    });
    await until("it fails on the long one", () =>
      (watch.status().lastError ?? "").endsWith("within 17300 ms"),
    );
  });

  it("does not hammer a server that refuses what waits, nor call that well", async () => {
    let queries = 0;
    await begin(
      (response, { query }) => {
        queries += 1;
        if (query.has("index")) response.destroy();
        else answerJson(response, 5, { a: [] });
      },
      { random: () => 1 },
      100,
    );
    server.script = (response, { query }) => {
      queries += 1;
      if (query.has("index")) response.destroy();
      else answerJson(response, 5, { a: [] });
    };
    const start = clock.now();
    const minutes = () => (clock.now() - start) / 60_000;
    await until("a minute has passed", () => minutes() > 1 && queries >= 10);
    expect(queries).to.be.at.most(40 * minutes());
    expect(states).to.deep.equal(["ok", "failing"]);
    // What is read without waiting is taken all the same.
    expect(events.length).to.be.above(3);
    server.script = (response, request, count) =>
      request.query.has("index")
        ? endingProbes(() => {})(response, request, count)
        : answerJson(response, 5, { a: [] });
    await until("it is well again", () => watch.status().state === "ok");
    expect(states).to.deep.equal(["ok", "failing", "ok"]);
  });

  it("asks anew on another connection when it is told to, and counts that as no failure", async () => {
    await begin(
      (response, _, count) => {
        if (count === 1 || count === 3) answerJson(response, 5 + count, { [`s${count}`]: [] });
      },
      {},
      10,
    );
    await until("it waits", () => server.requests.length === 2);
    watch.renew("all");
    await until("it waits again", () => server.requests.length >= 4);
    expect(indexes().slice(0, 4)).to.deep.equal([null, "6", null, "8"]);
    await until("the first has no connection any more", () => server.requests[1]?.gone === true);
    expect(names()).to.deep.equal(["s1", "s3"]);
    expect(states).to.deep.equal(["ok"]);
  });

  it("asks at once after a failure when it is told to, and leaves a query alone that waits", async () => {
    await begin(
      (response, _, count) => {
        if (count === 1) response.writeHead(500).end();
        else if (count === 2) answerJson(response, 6, { s: [] });
      },
      { random: () => 1 },
      // Its pause is longer than the test.
      0.001,
    );
    await until("it has failed", () => states.includes("failing"));
    watch.renew("failed");
    await until("it waits for a change", () => server.requests.length === 3);
    watch.renew("failed");
    expect(await settled(() => server.requests.length)).to.equal(3);
    expect(server.requests[2]?.gone).to.equal(false);
  });

  it("does not hammer a server that fails, nor one that ignores the wait", async () => {
    /** At least `least` queries, in at least `ms` of the watch's time, slow enough for a loop to show. */
    const ask = async (script: Script, ms: number, least: number, times: number) => {
      await begin(script, { random: () => 1 }, times);
      const start = clock.now();
      const passed = () => clock.now() - start;
      await until("enough is asked", () => passed() > ms && server.requests.length >= least);
      const [count, seconds] = [server.requests.length, passed() / 1_000];
      await watch.stop();
      consul.close();
      await server.stop();
      return { count, seconds };
    };
    // After 100, 200, ... 6400 ms and then every 10 s.
    const failing = await ask((response) => response.writeHead(500).end(), 60_000, 5, 100);
    expect(failing.count).to.be.at.most(9 + failing.seconds / 10);
    // After 100, ... 800 ms and then every second.
    const impatient = await ask((response) => answerJson(response, 5, {}), 60_000, 10, 100);
    expect(impatient.count).to.be.at.most(10 + impatient.seconds);
    // 20 at once, then 20 a second.
    const counting: Script = (response, _, count) => answerJson(response, count, {});
    const busy = await ask(counting, 10_000, 50, 20);
    expect(busy.count).to.be.at.most(25 + 20 * busy.seconds);
  });

  it("asks again after its listener has thrown, as if there had been no answer", async () => {
    let calls = 0;
    await begin(
      (response, _, count) => {
        if (count <= 2) answerJson(response, 5, {});
      },
      {
        onAnswer: () => {
          calls += 1;
          if (calls === 1) throw new Error("not now");
        },
      },
    );
    await until("it was told twice", () => calls === 2);
    expect(watch.status().lastError).to.equal("not now");
    expect(indexes().slice(0, 2)).to.deep.equal([null, null]);
  });

  it("ends the query under way when it is stopped", async () => {
    await begin((response, _, count) => {
      if (count === 1) answerJson(response, 5, {});
    });
    await until("it waits", () => server.requests.length === 2);
    await watch.stop();
    await until("the connection is closed", () => server.requests[1]?.gone === true);
    expect(states).to.deep.equal(["ok"]);
  });
});
