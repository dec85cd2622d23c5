/** What documents say without effect, and upstreams that are not there: told by key, never in silence. */
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { onTerminal } from "../support/terminal.ts";
import { Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`warnings of a gateway with ${kind.name}`, function () {
    this.timeout(600_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      await scene.start();
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    const warned = (key: string) => (status: { warnings: readonly { key: string }[] }) =>
      status.warnings.some((warning) => warning.key === key);

    it("are in the status, for people too, and in the log once, until the field is gone", async () => {
      const { gateway, writes, home } = scene;
      const key = "sluice/upstreams/old";
      await writes.put("upstreams/old", {
        servers: [home.server],
        keepalive: 10,
        heartbeat: "http",
      });
      const { warnings, refused } = await gateway.statusWhen("it is told", warned(key));
      expect(refused).to.deep.equal([]);
      expect(warnings.map(({ warning }) => warning.split(":")[0])).to.deep.equal([
        "heartbeat",
        "keepalive",
      ]);
      const { shown } = await onTerminal(["status", "--admin", `127.0.0.1:${gateway.adminPort}`]);
      expect(shown).to.match(/warnings\n +sluice\/upstreams\/old +heartbeat: /);
      await gateway.caughtUp();
      expect((await gateway.request({ host: "old" })).status).to.equal(200);
      await writes.put("upstreams/old", { servers: [home.server] });
      await gateway.statusWhen("it is no longer told", (status) => !warned(key)(status));
      const told = () => gateway.records.filter((record) => record.key === key);
      await until("its end is in the log", () => told().length >= 4);
      const lines = told();
      expect(lines.map(({ msg }) => msg.replace(`${key}: `, "").split(":")[0])).to.deep.equal([
        "heartbeat",
        "keepalive",
        "no longer",
        "no longer",
      ]);
    });

    it("name an upstream that nothing has, and so does the answer, until it comes", async () => {
      const { gateway, writes, home } = scene;
      const key = "sluice/hosts/shop.example";
      await writes.put("hosts/shop.example", { paths: { "/": "home", "/cart": "kart" } });
      const { warnings } = await gateway.statusWhen("it is told", warned(key));
      expect(warnings[0]?.warning).to.include('paths["/cart"]').and.include("kart");
      await gateway.caughtUp();
      const answer = await gateway.request({ host: "shop.example", path: "/cart/1" });
      expect(answer.status).to.equal(503);
      expect(answer.body).to.include("no_upstream").and.include("kart");
      await writes.put("upstreams/kart", { servers: [home.server] });
      await gateway.statusWhen("it is no longer told", (status) => !warned(key)(status));
      await gateway.caughtUp();
      const served = await gateway.request({ host: "shop.example", path: "/cart/1" });
      expect(served.status).to.equal(200);
    });

    it("name a folder that no gateway reads", async () => {
      const { writes } = scene;
      await writes.put("hostss/shop.example", { paths: { "/": "home" } });
      scene.later(() => writes.remove("hostss/shop.example"));
      const gateway = await scene.start();
      const { warnings } = await gateway.statusWhen("it is told", warned("sluice/hostss/"));
      const folder = warnings.find(({ key }) => key === "sluice/hostss/");
      expect(folder?.warning).to.contain("hosts/");
    });
  });
