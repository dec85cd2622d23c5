import { expect } from "chai";
import { createConsul, KvStore } from "../../consul/index.ts";
import { consulKinds, type TestConsul } from "../../test/support/consul.ts";
import { eventually } from "../../test/support/registered.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { UnknownFolders } from "./unknown-folders.ts";

const prefix = "sluice/";

for (const kind of consulKinds())
  describe(`folders that no gateway reads, with ${kind.name}`, () => {
    let consul: TestConsul;
    let client: ReturnType<typeof createConsul>;
    let kv: KvStore;

    before(async () => {
      consul = await kind.start();
      client = createConsul({ url: consul.url }, {});
      kv = new KvStore(client);
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    it("are named once each, and no longer when they are gone", async () => {
      const clock = new ManualClock();
      let changes = 0;
      const unknown = new UnknownFolders({
        prefix,
        list: () => kv.folders(prefix),
        clock,
        onChange: () => {
          changes += 1;
        },
      });
      const keys = () => unknown.warnings().map(({ key }) => key);
      const good = ["hosts/a", "upstreams/a", "live/a", "history/scripts/a", "gateways/a"];
      for (const key of [...good, "hostss/a", "hostss/b", "x", ""]) await kv.put(prefix + key, "1");
      unknown.start();
      try {
        await eventually("they are named", async () => {
          expect(keys()).to.deep.equal(["sluice/hostss/", "sluice/x"]);
        });
        expect(unknown.warnings()[0]?.warning).to.contain(
          "history/, hosts/, keys/, listeners/, live/",
        );
        await kv.remove(`${prefix}x`);
        await eventually("one is gone", async () => {
          clock.advance(30_000);
          expect(keys()).to.deep.equal(["sluice/hostss/"]);
        });
        expect(changes).to.equal(2);
      } finally {
        unknown.stop();
      }
    });
  });
