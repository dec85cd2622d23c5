/** Several gateways on one agent: what Consul serves one client address has to do for all of them. */
import { readFileSync } from "node:fs";
import { until } from "../test/support/conditions.ts";
import { findRealConsul, startRealConsul, type TestConsul } from "../test/support/consul.ts";
import { eventually } from "../test/support/registered.ts";
import { becomes, Operator, observe, type WatchedSources } from "./fixtures/observed.ts";

/** More than have a query of their own. */
const services = 130;

if (findRealConsul() !== null && process.platform === "linux")
  describe("sources of several gateways on one agent", function () {
    this.timeout(300_000);
    let consul: TestConsul;
    let seen: WatchedSources[] = [];

    beforeEach(() => {
      seen = [];
    });
    afterEach(async () => {
      await Promise.all(seen.map((one) => one.stop()));
      await consul?.stop();
    });

    async function begin(config: object, gateways: number, maxServiceWatches: number) {
      consul = await startRealConsul({ config: { ...config } });
      const operator = new Operator(consul.url);
      for (let at = 0; at < services; at += 1) await operator.register(`s${at}`, 4_000 + at);
      seen = Array.from({ length: gateways }, () => observe(consul.url, { maxServiceWatches }));
      await Promise.all(seen.map(({ sources }) => sources.whenReady()));
      for (const { sources } of seen)
        for (let at = 0; at < services; at += 1) sources.use(`s${at}`);
      for (const one of seen) await becomes(() => one.keys("service").length, services);
      return operator;
    }

    /** Connections to Consul, by the address that they come from. */
    function connections(): ReadonlyMap<string, number> {
      const port = consul.port.toString(16).toUpperCase().padStart(4, "0");
      const counts = new Map<string, number>();
      for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
        const [, local, remote, state] = line.trim().split(/\s+/);
        if (state !== "01" || !remote?.endsWith(`:${port}`)) continue;
        const [address = ""] = local?.split(":") ?? [];
        counts.set(address, (counts.get(address) ?? 0) + 1);
      }
      return counts;
    }

    it("leave 127.0.0.1 to others, and each takes its own", async () => {
      const operator = await begin({}, 3, 100);
      await until("every watch is answered", () =>
        seen.every(({ sources }) => sources.status().watches.every(({ state }) => state === "ok")),
      );
      const counts = () => Object.fromEntries(connections());
      await until(
        "connections have settled",
        () => {
          const { "0100007F": shared = 0, ...own } = counts();
          const each = Object.values(own);
          return shared < 60 && each.length >= 3 && each.every((count) => count <= 100);
        },
        { describe: counts },
      );
      await operator.register("s7", 5_007);
      for (const one of seen) await becomes(() => one.ports("s7"), [4_007, 5_007]);
    });

    it("keep a query for each service, more than one address is served, from several", async () => {
      const operator = await begin({}, 1, 400);
      await until("each has its own", () => {
        const status = seen[0]?.sources.status();
        return status?.polled === 0 && status.watches.every(({ state }) => state === "ok");
      });
      const open = () => [...connections().values()].reduce((sum, count) => sum + count, 0);
      await until("each has a connection", () => open() > services, { describe: open });
      await operator.register("s129", 5_129);
      await becomes(() => seen[0]?.ports("s129") ?? [], [4_129, 5_129]);
    });

    it("serve on with fewer queries where Consul refuses connections", async () => {
      const operator = await begin({ limits: { http_max_conns_per_client: 60 } }, 1, 100);
      // Some are refused, and read in turn meanwhile.
      const register = (name: string, port: number) =>
        // This test's own connections are refused as well, until there is room.
        eventually("it is registered", () => operator.register(name, port));
      await register("s3", 5_003);
      await becomes(() => seen[0]?.ports("s3") ?? [], [4_003, 5_003]);
      await until("it is told", () => seen[0]?.lines.some((line) => /refuses/.test(line)) ?? false);
      await register("s4", 5_004);
      await becomes(() => seen[0]?.ports("s4") ?? [], [4_004, 5_004]);
    });
  });
