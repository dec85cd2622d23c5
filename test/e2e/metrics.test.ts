/** `GET /metrics`, read by a real Prometheus: what was sent is what is counted, whatever becomes of workers. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { checkMetrics, findPrometheus, TestPrometheus } from "../support/prometheus.ts";
import { eventually } from "../support/registered.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { homeHost, Scene } from "./scene.ts";

/** The sum of the series of a text whose line begins so. */
function sumOf(text: string, name: string, ...labels: readonly string[]): number {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

for (const kind of consulKinds())
  describe(`metrics of a gateway with ${kind.name}`, function () {
    this.timeout(400_000);
    let scene: Scene;

    beforeEach(async () => {
      scene = await Scene.open(kind);
      // A machine that is busy is no reason for a script to fail.
      await scene.start({ flags: ["--script-timeout", "1s"] });
    });
    afterEach(() => scene?.close());

    const scrape = async () => {
      const { status, body } = await scene.gateway.admin("/metrics");
      expect(status, body).to.equal(200);
      return body;
    };

    /** One that every worker has reported for, which on a busy machine the first may not be. */
    const wholeScrape = () =>
      eventually("every worker reports", async () => {
        const text = await scrape();
        expect(sumOf(text, "sluice_unanswered_workers")).to.equal(0);
        return text;
      });

    const send = async (host: string, times: number, path = "/") => {
      for (let at = 0; at < times; at += 1) await scene.gateway.request({ host, path });
    };

    it("counts every request once, under names that are known, at the moment of the scrape", async () => {
      const { writes, gateway } = scene;
      await writes.put(
        "scripts/scripted.example",
        "export default () => respond({ status: 204 });",
      );
      await writes.put("hosts/*.wild.example", { paths: { "/": "home" } });
      await writes.put("upstreams/dead", { servers: [{ host: "127.0.0.1", port: 1 }] });
      await writes.put("hosts/dead.example", { paths: { "/": "dead" } });
      await eventually("all of it is served", async () => {
        const statuses = await Promise.all(
          ["scripted.example", "a.wild.example", "dead.example"].map(
            async (host) => (await gateway.request({ host })).status,
          ),
        );
        expect(statuses).to.deep.equal([204, 200, 502]);
      });
      await gateway.caughtUp();
      const before = await wholeScrape();
      await send(homeHost, 30);
      await send("scripted.example", 7);
      await send("dead.example", 5);
      for (let at = 0; at < 20; at += 1) await send(`made-up-${at}.example`, 1);
      for (let at = 0; at < 10; at += 1) await send(`name-${at}.wild.example`, 1);
      const after = await wholeScrape();
      const added = (name: string, ...labels: readonly string[]) =>
        sumOf(after, name, ...labels) - sumOf(before, name, ...labels);
      const requests = (...labels: readonly string[]) => added("sluice_requests_total", ...labels);
      expect(requests(`host="${homeHost}"`, 'upstream="home"', 'status="2xx"')).to.equal(30);
      expect(requests('host="scripted.example"', 'upstream="none"', 'status="2xx"')).to.equal(7);
      expect(requests('host="dead.example"', 'upstream="dead"', 'status="5xx"')).to.equal(5);
      expect(requests('host="other"', 'status="4xx"')).to.equal(20);
      expect(requests('host="*.wild.example"', 'upstream="home"')).to.equal(10);
      expect(requests()).to.equal(72);
      expect(after).not.to.include("made-up");
      expect(added("sluice_request_duration_seconds_count")).to.equal(72);
      expect(added("sluice_request_duration_seconds_bucket", 'le="+Inf"')).to.equal(72);
      expect(added("sluice_tries_total", `host="${homeHost}"`)).to.equal(30);
      expect(added("sluice_peer_failures_total", 'code="connect_failed"')).to.equal(5);
      expect(added("sluice_request_failures_total", 'code="no_route"')).to.equal(20);
      expect(added("sluice_script_calls_total", 'host="scripted.example"')).to.equal(7);
      expect(sumOf(after, "sluice_script_seconds_total")).to.be.above(0);
      expect(added("sluice_response_body_bytes_total", `host="${homeHost}"`)).to.be.above(0);
      expect(sumOf(after, "sluice_upstream_peers", 'upstream="home"', 'state="up"')).to.equal(1);
      expect(sumOf(after, "sluice_workers", 'state="listening"')).to.equal(2);
      expect(sumOf(after, "sluice_ready")).to.equal(1);
    });

    it("shows what is in flight, and the refusals of heads that never became a request", async () => {
      const { gateway, home } = scene;
      const held = gateway.request({ host: homeHost, path: "/wait" });
      await eventually("it is in flight", async () => {
        const text = await scrape();
        expect(sumOf(text, "sluice_requests_in_flight")).to.equal(1);
        expect(sumOf(text, "sluice_upstream_requests_in_flight", 'upstream="home"')).to.equal(1);
      });
      home.release();
      await held;
      const refused = await gateway.request({ host: homeHost, path: `/${"x".repeat(10_000)}` });
      expect(refused.status).to.equal(414);
      await eventually("the refusal is counted, and nothing is in flight", async () => {
        const text = await scrape();
        expect(sumOf(text, "sluice_refused_heads_total", 'code="target_too_long"')).to.equal(1);
        expect(sumOf(text, "sluice_requests_in_flight")).to.equal(0);
      });
    });

    it("keeps what a killed worker had reported, and goes on from there", async () => {
      const { gateway } = scene;
      await send(homeHost, 20);
      const home = [`host="${homeHost}"`, 'status="2xx"'];
      expect(sumOf(await wholeScrape(), "sluice_requests_total", ...home)).to.equal(20);
      const { workers } = await gateway.status();
      for (const { pid } of workers) process.kill(pid, "SIGKILL");
      await gateway.statusWhen(
        "they are replaced",
        ({ notReady, workers: now }) =>
          notReady === null && now.every(({ pid }) => workers.every((one) => one.pid !== pid)),
      );
      const text = await wholeScrape();
      expect(sumOf(text, "sluice_requests_total", ...home)).to.equal(20);
      expect(sumOf(text, "sluice_worker_restarts_total")).to.equal(2);
      await send(homeHost, 10);
      expect(sumOf(await wholeScrape(), "sluice_requests_total", ...home)).to.equal(30);
    });

    it("is read by Prometheus, whose counters do not go back over a kill and a roll of workers", async function () {
      if (findPrometheus() === null) return this.skip();
      const { gateway } = scene;
      const prometheus = await TestPrometheus.start(gateway.adminPort);
      scene.later(() => prometheus.stop());
      await send(homeHost, 25);
      const home = `sluice_requests_total{host="${homeHost}",upstream="home",status="2xx"}`;
      await eventually("what was sent is there", async () => {
        expect(await prometheus.scrapeError()).to.equal("");
        expect(await prometheus.value(home)).to.equal(25);
        expect(
          await prometheus.value(`sluice_request_duration_seconds_count{host="${homeHost}"}`),
        ).to.equal(25);
      });
      // What a scrape has missed on a busy machine is not in the next answer.
      const names = await prometheus.query(
        'group by (__name__) (last_over_time({job="sluice"}[5m]))',
      );
      expect(names.map(({ labels }) => labels.__name__)).to.include.members([
        ...["sluice_requests_total", "sluice_request_duration_seconds_bucket"],
        ...["sluice_request_body_bytes_total", "sluice_response_body_bytes_total"],
        ...["sluice_tries_total", "sluice_requests_in_flight", "sluice_client_connections"],
        ...["sluice_peer_connections", "sluice_dropped_header_lines_total"],
        ...["sluice_upstream_peers", "sluice_upstream_requests_in_flight"],
        ...["sluice_build_info", "sluice_ready", "sluice_state_version"],
        ...["sluice_worker_state_version", "sluice_worker_lag_seconds"],
        ...["sluice_refused_entries", "sluice_warnings", "sluice_held_entries"],
        ...["sluice_watches", "sluice_watch_age_seconds", "sluice_watch_errors_total"],
        ...["sluice_services_in_use", "sluice_workers", "sluice_worker_restarts_total"],
        ...["sluice_resident_memory_bytes", "sluice_processor_seconds_total"],
        ...["sluice_event_loop_delay_seconds_bucket", "process_start_time_seconds"],
      ]);
      const load = new SteadyLoad({
        port: gateway.httpPort,
        host: homeHost,
        perSecond: 100,
        kept: 0,
      });
      scene.later(() => load.stop());
      const before = (await gateway.status()).workers;
      const [victim] = before;
      if (victim === undefined) throw new Error("two workers");
      process.kill(victim.pid, "SIGKILL");
      const marked = await eventually("the kill is counted and the load goes on", async () => {
        expect(await prometheus.value("sluice_worker_restarts_total")).to.equal(1);
        const count = await prometheus.value(home);
        expect(count).to.be.above(100);
        return count;
      });
      gateway.signal("SIGHUP");
      await gateway.statusWhen(
        "all workers are replaced",
        ({ notReady, workers }) =>
          notReady === null &&
          workers.length === 2 &&
          workers.every(({ pid }) => before.every((one) => one.pid !== pid)),
      );
      const { good, failures } = await load.stop();
      const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
      const text = await eventually("nothing is in flight", async () => {
        const scraped = await wholeScrape();
        expect(sumOf(scraped, "sluice_requests_in_flight")).to.equal(0);
        return scraped;
      });
      // What the killed worker had not reported is lost, and of the replaced ones nothing is.
      const final = sumOf(text, "sluice_requests_total", `host="${homeHost}"`, 'status="2xx"');
      expect(final).to.be.at.least(marked);
      expect(final).to.be.at.most(25 + good + failed);
      await eventually("Prometheus has it", async () =>
        expect(await prometheus.value(home)).to.equal(final),
      );
      const counters = names
        .map(({ labels }) => labels.__name__ ?? "")
        .filter((name) => /_(total|count|sum|bucket)$/.test(name));
      for (const name of counters)
        expect(await prometheus.value(`max(resets(${name}[5m]))`), name).to.equal(0);
    });

    it("has nothing that promtool objects to", async function () {
      if (findPrometheus() === null) return this.skip();
      await send(homeHost, 3);
      await send("nobody.example", 3);
      expect(await checkMetrics(await scrape())).to.equal("");
    });

    it("shares one answer between scrapes that come at once, and does not wait for a worker that stands still", async () => {
      const { gateway } = scene;
      await send(homeHost, 5);
      expect(sumOf(await wholeScrape(), "sluice_requests_total")).to.equal(5);
      const [stopped] = (await gateway.status()).workers;
      if (stopped === undefined) throw new Error("two workers");
      scene.suspend(stopped.pid);
      const texts = await Promise.all(Array.from({ length: 50 }, scrape));
      for (const text of texts) expect(text).to.contain("sluice_requests_total{");
      expect(new Set(texts).size).to.be.below(texts.length / 2);
    });
  });
