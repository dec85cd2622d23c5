/** `GET /explain` and `sluice explain`: what a gateway would do with a request, as it then does. */
import { expect } from "chai";
import type { ShownExplanation } from "../../gateway/primary/explain.ts";
import { consulKinds } from "../support/consul.ts";
import { runSluice } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

for (const kind of consulKinds())
  describe(`what would become of a request with ${kind.name}`, function () {
    this.timeout(180_000);
    let scene: Scene;

    before(async () => {
      scene = await Scene.open(kind);
      // A machine that is busy is no reason for a script to fail.
      await scene.start({ flags: ["--script-timeout", "1s"] });
    });
    afterEach(() => scene.endTest());
    after(() => scene?.close());

    const ask = async (
      query: Readonly<Record<string, string>>,
      headers: readonly string[] = [],
    ) => {
      const all = new URLSearchParams(query);
      for (const header of headers) all.append("header", header);
      return explained(all);
    };
    /** What a worker says, once one answers in time. */
    const explained = (query: URLSearchParams) =>
      eventually("a worker explains it", async () => {
        const { status, body } = await scene.gateway.admin(`/explain?${query}`);
        if (status === 503) throw new Error(body);
        return {
          status,
          answer: JSON.parse(body) as ShownExplanation & { readonly message: string },
        };
      });

    it("says where a request goes, and no request is sent by that", async () => {
      const { writes, home, gateway } = scene;
      const host = "explained.example";
      await writes.put(`hosts/${host}`, { paths: { "/api": "home" } });
      const text = `export default (request) => { request.path = "/api" + request.path; };`;
      await writes.put(`scripts/${host}`, text);
      scene.later(() => writes.remove(`hosts/${host}`));
      scene.later(() => writes.remove(`scripts/${host}`));
      const url = `http://${host}/x?q=1`;
      const answer = await eventually("the script is there", async () => {
        const { answer } = await ask({ url }, ["X-One: 1", "X-Two: 2"]);
        expect(answer.sites?.[0]?.phases[0]?.changes).to.deep.equal(["path: /x -> /api/x"]);
        return answer;
      });
      expect(answer).to.deep.include({
        listener: "http",
        request: { method: "GET", host, path: "/x", query: "q=1" },
      });
      if (answer.outcome.kind !== "forward") throw new Error(JSON.stringify(answer.outcome));
      const { by, rule, shares } = answer.outcome;
      expect([by, rule]).to.deep.equal([`hosts/${host}`, "/api"]);
      expect(shares[0]?.next).to.equal(`${home.server.host}:${home.server.port}`);
      await gateway.caughtUp();
      const { body } = await gateway.request({ host, path: "/x?q=1" });
      expect(JSON.parse(body)).to.include({ origin: "home", url: "/api/x?q=1" });
      expect(home.requests, "requests that were sent").to.equal(1);
    });

    it("answers 400 to what is no request, by the name of what is wrong", async () => {
      for (const [query, what] of [
        [{}, "url"],
        [{ url: "ftp://x/" }, "not http://HOST/PATH"],
        [{ url: "http://x/", method: "G T" }, "not a method"],
        [{ url: "http://x/", header: "none" }, "header"],
        [{ url: "http://x/", header: "A: \r\nB: c" }, "forbidden character"],
        [{ url: "http://x/", listener: "internal" }, "no listener internal"],
        [{ url: "http://x/", client: "me" }, "client"],
        [{ url: "http://x/", oops: "1" }, "oops"],
      ] as const) {
        const { status, answer } = await ask(query);
        expect([status, answer.message], JSON.stringify(query)).to.match(
          new RegExp(`^400,.*${what}`, "i"),
        );
      }
    });

    it("says where a connection or a datagram goes that comes in by a listener's port", async () => {
      const { writes, home } = scene;
      const address = "127.0.0.1:0";
      const listeners = [
        { protocol: "tcp", address, upstream: "home" },
        { protocol: "udp", address, upstream: "missing" },
        { protocol: "tls-passthrough", address },
      ];
      const gateway = await scene.start({ flags: ["--listeners", JSON.stringify(listeners)] });
      await writes.put("hosts/inside.example", { paths: { "/": "home" } });
      scene.later(() => writes.remove("hosts/inside.example"));
      await gateway.caughtUp();
      const open = (await gateway.status()).listeners;
      const portOf = (protocol: string) =>
        open
          .find((one) => one.protocol === protocol)
          ?.address.split(":")
          .at(-1) ?? "";
      const explain = async (method: string, url: string) => {
        const { status, answer } = await explained(new URLSearchParams({ method, url }));
        return { status, ...answer };
      };
      const next = `${home.server.host}:${home.server.port}`;
      const tcp = await explain("tcp", `:${portOf("tcp")}`);
      if (tcp.outcome.kind !== "forward") throw new Error(JSON.stringify(tcp));
      expect(tcp.outcome.by).to.equal(`listener ${tcp.listener}`);
      expect(tcp.outcome.shares).to.have.length(1);
      expect(tcp.outcome.shares[0]).to.deep.include({ upstream: "home", why: null, next });
      const tls = await explain("tls-passthrough", `Inside.example:${portOf("tls-passthrough")}`);
      if (tls.outcome.kind !== "forward") throw new Error(JSON.stringify(tls));
      expect([tls.outcome.by, tls.outcome.shares[0]?.next]).to.deep.equal([
        "hosts/inside.example",
        next,
      ]);
      for (const [method, url] of [
        ["tls-passthrough", `nobody.example:${portOf("tls-passthrough")}`],
        ["udp", `:${portOf("udp")}`],
      ] as const)
        expect((await explain(method, url)).outcome).to.include({
          kind: "ended",
          code: "no_route",
        });
      for (const [url, what] of [
        [`:${portOf("udp")}`, /^there is no listener for tcp at port [0-9]+, but at [0-9]+$/],
        ["http://x/", /is not :PORT/],
      ] as const) {
        const { status, message } = await explain("tcp", url);
        expect(status).to.equal(400);
        expect(message).to.match(what);
      }
    });

    it("is a command: text for people, JSON for programs", async () => {
      const { gateway } = scene;
      const args = [
        "explain",
        "--admin",
        `127.0.0.1:${gateway.adminPort}`,
        "POST",
        "http://home.example/a",
      ];
      const piped = await runSluice([...args, "-H", "X-A: 1"]);
      expect(piped.stderr).to.equal("");
      expect(JSON.parse(piped.stdout)).to.deep.include({
        request: { method: "POST", host: "home.example", path: "/a", query: "" },
      });
      const wrong = await runSluice([...args.slice(0, 3), "GET", "nowhere"]);
      expect(wrong.status).to.equal(1);
      expect(wrong.stderr).to.contain("400").and.to.contain("not http://HOST/PATH");
    });
  });
