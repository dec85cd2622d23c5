import { expect } from "chai";
import type { Served } from "../model/index.ts";
import {
  addresses,
  catalog,
  document,
  first,
  fixed,
  host,
  instance,
  name,
  path,
  RouterScene,
  service,
  upstream,
} from "./fixtures/router-scene.ts";

describe("Router", () => {
  let scene: RouterScene;
  beforeEach(() => {
    scene = new RouterScene();
  });

  describe("versions", () => {
    it("shares what a delta did not change", () => {
      const line = scene.line();
      const before = line.change(
        upstream("u", fixed("a")),
        upstream("w", fixed("b")),
        service("thumb", instance("c")),
        host("h", path("/", "u")),
      );
      const kept = [before.upstream("u"), before.upstream("thumb")];
      const after = line.change(upstream("w", fixed("b", "d")));
      expect([after.upstream("u"), after.upstream("thumb")]).to.deep.equal(kept);
      expect(after.upstream("u")).to.equal(kept[0]);
      expect(after.upstream("w")).not.to.equal(before.upstream("w"));
      expect(name(after, "h")).to.equal("u");
    });

    it("leaves the router before as it was", () => {
      const line = scene.line();
      const before = line.change(upstream("u", fixed("a")), host("h", path("/", "u")));
      line.change(
        upstream("u", null),
        { kind: "host", key: "h", value: null },
        service("thumb", instance("c")),
      );
      expect(name(before, "h")).to.equal("u");
      expect(before.upstream("thumb")).to.equal(null);
      expect(name(line.router, "h")).to.equal(null);
    });

    it("retires a peer when the last upstream with it is gone, and no earlier", () => {
      const line = scene.line();
      line.change(upstream("u", fixed("a", "b")), service("thumb", instance("b", ["v1"])));
      line.router.upstream("v1.thumb.service.consul");
      line.change(upstream("u", fixed("a")));
      expect(scene.retired).to.deep.equal([]);
      line.change(service("thumb"));
      expect(scene.retired).to.deep.equal(["b"]);
      line.change(upstream("u", null));
      expect(scene.retired).to.deep.equal(["b", "a"]);
    });

    it("retires none that a new version of its service still has, asked for by tag or not", () => {
      const line = scene.line();
      line.change(service("thumb", instance("a", ["v1"]), instance("b", ["v1"])));
      const before = line.router.upstream("v1.thumb.service.consul")?.pick(first, 0)?.peer;
      line.change(service("thumb", instance("a", ["v1"]), instance("c", ["v1"])));
      expect(scene.retired).to.deep.equal(["b"]);
      const after = line.router.upstream("v1.thumb.service.consul");
      expect(addresses(after)).to.deep.equal(["a", "c"]);
      expect(before?.host).to.equal("a");
      expect(before?.retired).to.equal(false);
    });

    it("goes on with the round of a tag when its service changes", () => {
      const line = scene.line();
      const tag = "v1.thumb.service.consul";
      const two = [instance("a", ["v1"]), instance("b", ["v1"])];
      line.change(service("thumb", ...two));
      const hosts: (string | undefined)[] = [];
      for (let i = 0; i < 4; i += 1) {
        hosts.push(line.router.upstream(tag)?.pick(first, 0)?.peer.host);
        line.change(service("thumb", ...two, instance(`other-${i}`, ["v2"])));
      }
      expect(hosts).to.deep.equal(["a", "b", "a", "b"]);
    });

    it("comes to the same by a whole replacement as by deltas", () => {
      const steps: readonly (readonly Served[])[] = [
        [upstream("u", fixed("a", "b")), host("h", path("/", "u")), catalog("thumb")],
        [service("thumb", instance("c")), upstream("p", document({ service: "thumb" }))],
        [service("thumb", instance("c"), instance("d")), host("*.h", path("/", "p"))],
        [upstream("u", null), upstream("p", document({ service: "other" }))],
        [service("thumb", instance("d")), service("other", instance("e"))],
      ];
      const all = { upstreams: ["u", "p"], services: ["thumb", "other"] };
      const byDelta = scene.line();
      const byTable = scene.line();
      for (const step of steps) {
        byDelta.change(...step);
        byTable.replace(...step);
        expect(byTable.router.describe(all)).to.have.deep.members([
          ...byDelta.router.describe(all),
        ]);
        for (const asked of ["h", "x.h", "thumb", "p", "other", "u"])
          expect(name(byTable.router, asked), asked).to.equal(name(byDelta.router, asked));
      }
      byDelta.router.dispose(null);
      byTable.router.dispose(null);
      expect(scene.book.size).to.equal(0);
    });

    it("gives everything up when it is disposed of for none, or for one that is no successor", () => {
      const one = scene.build(upstream("u", fixed("a")), service("thumb", instance("b")));
      const other = scene.build(upstream("u", fixed("a")));
      one.dispose(other);
      expect(scene.retired).to.deep.equal(["b"]);
      other.dispose(null);
      expect(scene.book.size).to.equal(0);
    });
  });
});
