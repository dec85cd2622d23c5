import { readFileSync } from "node:fs";
import { expect } from "chai";
import { checkRules, findPrometheus } from "../../../test/support/prometheus.ts";
import type { RouteCounts, WorkerCounts } from "../../model/index.ts";
import type { Status } from "../status.ts";
import { expose, type Family, histogram } from "./exposition.ts";
import { familiesOf } from "./families.ts";
import { Totals } from "./totals.ts";

const route = (host: string, upstream = "one", count = 1): RouteCounts => ({
  host,
  upstream,
  classes: [0, 0, count, 0, 0, 0],
  durations: [count],
  seconds: count,
  tries: count,
  bytesIn: 0,
  bytesOut: 0,
});

const counts = (more: Partial<WorkerCounts> = {}): WorkerCounts => ({
  routes: [],
  peerFailures: [],
  streams: [],
  failures: {},
  refused: {},
  droppedHeaders: 0,
  processorSeconds: 0,
  delays: { buckets: [], seconds: 0 },
  ...more,
});

describe("totals of all workers", () => {
  const everything = { hostTest: () => () => true, isUpstream: () => true };
  const triesOf = (totals: Totals) =>
    new Map(Array.from(totals.routes(), ({ host, tries }) => [host, tries]));

  it("are the sums of what each has counted, whichever of them sent it", () => {
    const totals = new Totals(everything);
    const first = counts({ routes: [route("a")], refused: { bad_host: 2 }, droppedHeaders: 1 });
    totals.take("worker-1", first);
    totals.take("worker-2", counts({ ...first, processorSeconds: 2 }));
    totals.take("worker-1", counts({ routes: [route("a", "one", 3)], processorSeconds: 1 }));
    expect(triesOf(totals)).to.deep.equal(new Map([["a", 5]]));
    expect(totals.refused.get("bad_host")).to.equal(4);
    expect(totals.droppedHeaders).to.equal(2);
    const processes = Array.from(totals.processes(), ([name, one]) => [name, one.processorSeconds]);
    expect(processes).to.deep.equal([
      ["worker-1", 1],
      ["worker-2", 2],
    ]);
  });

  it("give no more than 1000 pairs series of their own, and make room of what is gone", () => {
    const gone = new Set<string>();
    const totals = new Totals({ ...everything, hostTest: () => (host) => !gone.has(host) });
    const sum = () => [...triesOf(totals).values()].reduce((all, one) => all + one, 0);
    const routes = Array.from({ length: 1_200 }, (_, at) => route(`host-${at}`));
    totals.take("worker-1", counts({ routes }));
    expect(triesOf(totals).size).to.equal(1_001);
    expect(triesOf(totals).get("other")).to.equal(200);
    gone.add("host-0").add("host-1");
    totals.take("worker-1", counts({ routes: [route("host-new")] }));
    expect(triesOf(totals).get("host-new")).to.equal(1);
    expect(triesOf(totals).has("host-0")).to.equal(false);
    expect(triesOf(totals).get("other")).to.equal(202);
    expect(sum()).to.equal(1_201);
  });
});

describe("the exposition", () => {
  const families: readonly Family[] = [
    {
      name: "x_total",
      help: "Counted.",
      type: "counter",
      samples: [{ labels: { host: 'a"\\\n' }, value: 3 }],
    },
    {
      name: "y_seconds",
      help: "Took.",
      type: "histogram",
      samples: histogram({ host: "a" }, [0.1, 1], [2, 0, 1], 4.5),
    },
    { name: "z", help: "Nothing.", type: "gauge", samples: [] },
  ];
  const lines = (text: string) => text.split("\n").filter((line) => line !== "");
  const buckets = [
    "# HELP y_seconds Took.",
    "# TYPE y_seconds histogram",
    'y_seconds_bucket{host="a",le="0.1"} 2',
    'y_seconds_bucket{host="a",le="1"} 2',
    'y_seconds_bucket{host="a",le="+Inf"} 3',
    'y_seconds_sum{host="a"} 4.5',
    'y_seconds_count{host="a"} 3',
  ];

  it("is in Prometheus' own format, with what is written escaped and nothing for what is empty", async () => {
    const { contentType, text } = await expose(families, false);
    expect(contentType).to.equal("text/plain; version=0.0.4; charset=utf-8");
    expect(lines(text)).to.deep.equal([
      "# HELP x_total Counted.",
      "# TYPE x_total counter",
      'x_total{host="a\\"\\\\\\n"} 3',
      ...buckets,
    ]);
  });

  it("is OpenMetrics for who asks for it", async () => {
    const { contentType, text } = await expose(families, true);
    expect(contentType).to.contain("application/openmetrics-text");
    expect(lines(text)).to.deep.equal([
      "# HELP x Counted.",
      "# TYPE x counter",
      'x_total{host="a\\"\\\\\\n"} 3',
      ...buckets,
      "# EOF",
    ]);
  });
});

describe("the page about metrics", () => {
  const page = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");

  it("has every family, in the order of the answer, and no other", () => {
    // Of a gateway that has done nothing: the families are there all the same.
    const status = {
      workers: [],
      watches: [],
      refused: [],
      warnings: [],
      certificates: [],
      acme: null,
      health: { err: 0, unstable: 0, changes: 0, checks: {} },
      held: [],
      services: { inUse: 0, polled: 0 },
      notReady: null,
      version: 1,
    } as unknown as Status;
    const families = familiesOf({
      version: { version: "1", commit: null },
      startedAtMs: 0,
      nowMs: 0,
      status,
      totals: new Totals({ hostTest: () => () => true, isUpstream: () => true }),
      restarts: 0,
      unanswered: 0,
      loads: [],
      scripts: new Map(),
      watchErrors: new Map(),
      residentBytes: 0,
    });
    const listed = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(listed).to.deep.equal(families.map(({ name }) => name));
  });

  it("has alerts that Prometheus takes", async function () {
    if (findPrometheus() === null) return this.skip();
    const rules = /```yaml\n(groups:[\s\S]*?)```/.exec(page)?.[1] ?? "";
    expect(await checkRules(rules)).to.match(/SUCCESS: 9 rules found/);
  });
});
