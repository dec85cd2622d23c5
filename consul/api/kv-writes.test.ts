import { expect } from "chai";
import { consulKinds, type TestConsul } from "../../test/support/consul.ts";
import { eventually } from "../../test/support/registered.ts";
import { createConsul, KvStore, Presence } from "../index.ts";

const quiet = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };

for (const kind of consulKinds())
  describe(`keys written to ${kind.name}`, function () {
    this.timeout(300_000);
    let consul: TestConsul;
    const open = () => createConsul({ url: consul.url }, {});
    let client: ReturnType<typeof open>;
    let kv: KvStore;

    before(async () => {
      consul = await kind.start();
      client = open();
      kv = new KvStore(client);
    });
    after(async () => {
      client?.close();
      await consul?.stop();
    });

    it("are read back as they were written, whatever the text", async () => {
      for (const text of ["", "plain", '{"a": "ü\\u0000"}', "x".repeat(400_000)]) {
        expect(await kv.put("t/scripts/*.example.com", text)).to.equal(true);
        expect((await kv.get("t/scripts/*.example.com"))?.text).to.equal(text);
      }
      expect(await kv.get("t/none")).to.equal(null);
    });

    it("are only changed while they are as expected", async () => {
      expect(await kv.put("t/cas", "one", { cas: 0 })).to.equal(true);
      expect(await kv.put("t/cas", "two", { cas: 0 })).to.equal(false);
      const entry = await kv.get("t/cas");
      const cas = entry?.modifyIndex ?? 0;
      expect(await kv.put("t/cas", "two", { cas: cas + 1 })).to.equal(false);
      expect(await kv.put("t/cas", "two", { cas })).to.equal(true);
      const removal = [{ key: "t/cas", text: null, cas }];
      expect(await kv.transact(removal)).to.equal(false);
      expect((await kv.get("t/cas"))?.text).to.equal("two");
      await kv.remove("t/cas");
      expect(await kv.get("t/cas")).to.equal(null);
    });

    it("change together or not at all", async () => {
      const create = [
        { key: "t/a", text: "a1", cas: 0 },
        { key: "t/b", text: "b1", cas: 0 },
      ];
      expect(await kv.transact(create)).to.equal(true);
      expect(await kv.transact(create)).to.equal(false);
      const a = (await kv.get("t/a"))?.modifyIndex ?? 0;
      const b = (await kv.get("t/b"))?.modifyIndex ?? 0;
      const change = (cas: number) => [
        { key: "t/a", text: "a2", cas: a },
        { key: "t/b", text: null, cas },
      ];
      expect(await kv.transact(change(b + 1))).to.equal(false);
      expect((await kv.get("t/a"))?.text).to.equal("a1");
      expect(await kv.transact(change(b))).to.equal(true);
      expect((await kv.list("t/")).map(({ key, text }) => [key, text])).to.deep.include([
        "t/a",
        "a2",
      ]);
      expect(await kv.get("t/b")).to.equal(null);
    });

    it("stay while the process that put them there is present", async () => {
      const presence = new Presence({ consul: client, key: "t/here", value: "v", log: quiet });
      presence.start();
      await eventually("the key is there", async () => {
        expect((await kv.get("t/here"))?.text).to.equal("v");
      });
      await presence.stop();
      expect(await kv.get("t/here")).to.equal(null);
    });

    it("say which Consul does not answer", async () => {
      const gone = createConsul({ url: "http://127.0.0.1:1" }, {});
      const store = new KvStore(gone);
      const refused = await store.put("t/x", "").catch((error: unknown) => error);
      expect(String(refused)).to.match(/ConsulError: writing t\/x: .*ECONNREFUSED/);
      const unread = await store.get("t/x").catch((error: unknown) => error);
      expect(String(unread)).to.match(/ConsulError: .*127\.0\.0\.1:1\/v1\/kv\/t\/x.*ECONNREFUSED/);
      gone.close();
    });
  });
