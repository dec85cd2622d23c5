/** A script that gives a request another host does not lead the request past that host's rules. */
import { expect } from "chai";
import { engineKinds } from "../../test/support/engines.ts";
import { fieldOf } from "../../test/support/http.ts";
import { Rooms } from "../../test/support/rooms.ts";

const to = (host: string) => `export default (request) => { request.host = "${host}"; };`;
const mark = (name: string, more = "") => `export default (request) => {
    request.headers.set("x-ran", (request.headers.get("x-ran") ?? "") + "${name}>");
    ${more}
  };
  export function onResponse(response) {
    response.headers.set("x-${name}", "seen");
    response.headers.set("x-last", "${name}");
  }`;
const guard = `export const match = { paths: ["/secret"] };
  export default () => deny(403, "guarded");`;

const scripts: Readonly<Record<string, string>> = {
  "pub.test": to("admin.test"),
  "pub-path.test": `export default (request) => {
    request.host = "admin.test"; request.path = "/secret" + request.path; };`,
  "pub-upstream.test": `export default (request) => {
    request.host = "admin.test"; request.upstream = "other"; };`,
  "pub-port.test": to("ADMIN.test.:8080"),
  "pub-service.test": to("admin.service.consul"),
  "pub-wild.test": to("deep.wild.test"),
  "admin.test": guard,
  admin: guard,
  "*.wild.test": guard,
  "first.test": mark("first", 'request.host = "second.test";'),
  "second.test": mark("second", 'request.host = "third.test";'),
  "third.test": mark("third"),
  "chooses.test": `export default (request) => {
    request.upstream = "other"; request.host = "broken.test"; };`,
  "broken.test": `export const onError = "skip";
    export default (request) => { request.upstream = "plain"; throw new Error("broken"); };`,
  "answers.test": `export default (request) => {
    request.host = "admin.test"; return deny(404, "Not here\\nSorry\\nDo ask at the desk"); };`,
  "same.test": mark("same", 'request.host = "SAME.test:81";'),
  "*.cover.test": mark("cover", 'request.host = "www.cover.test";'),
  "ring-a.test": to("ring-b.test"),
  "ring-b.test": to("ring-c.test"),
  "ring-c.test": `export const onError = "skip"; ${to("ring-a.test")}`,
  "odd.test": `export const onError = "skip";
    export default (request) => {
      request.headers.set("x-ran", "odd"); request.path = "/odd"; request.upstream = "other";
      request.host = "plain.test:99999"; };`,
};
for (let at = 0; at < 7; at += 1) {
  Object.assign(scripts, { [`chain-${at}.test`]: to(`chain-${at + 1}.test`) });
}
const hosts = [...Object.keys(scripts), "plain.test", "chain-7.test"];

for (const engine of engineKinds())
  describe(`hosts that scripts rewrite, engine ${engine}`, () => {
    let rooms: Rooms;
    before(async () => {
      rooms = await Rooms.open({
        engine,
        upstreams: ["plain", "other"],
        hosts: Object.fromEntries(hosts.map((host) => [host, "plain"])),
        scripts,
      });
    });
    after(() => rooms.close());

    const ranOf = (upstream: string) =>
      fieldOf(rooms.requests(upstream).at(-1) ?? { headers: [] }, "x-ran");

    it("the script of the new host runs, with the request as it has become", async () => {
      for (const host of ["pub.test", "pub-port.test", "pub-service.test", "pub-wild.test"]) {
        const { status, body } = await rooms.ask(host, "/secret/a");
        expect({ host, status, body }).to.deep.equal({ host, status: 403, body: "guarded" });
        expect(await rooms.ask(host, "/open")).to.include({ status: 200, body: "plain" });
      }
      expect(await rooms.ask("pub-path.test", "/a")).to.include({ status: 403, body: "guarded" });
    });

    it("also where the first script has chosen the upstream, since the origin sees the host", async () => {
      const { status } = await rooms.ask("pub-upstream.test", "/secret");
      expect(status).to.equal(403);
      expect(await rooms.ask("pub-upstream.test")).to.include({ status: 200, body: "other" });
    });

    it("an encoded slash is refused where the script of the new host decides by the path", async () => {
      const { status, body } = await rooms.ask("pub.test", "/x%2Fsecret");
      expect(status).to.equal(400);
      expect(body).to.contain("encoded_slash");
    });

    it("scripts run from the first host to the last; answers go the other way", async () => {
      const { status, answer } = await rooms.ask("first.test");
      expect(status).to.equal(200);
      expect(ranOf("plain")).to.equal("first>second>third>");
      for (const name of ["first", "second", "third"])
        expect(fieldOf(answer, `x-${name}`)).to.equal("seen");
      expect(fieldOf(answer, "x-last")).to.equal("first");
    });

    it("what fails and is skipped leaves what the script before it chose", async () => {
      expect(await rooms.ask("chooses.test")).to.include({ status: 200, body: "other" });
      expect(rooms.report("broken.test").errors).to.equal(1);
    });

    it("an answer is given as it is, and is no failure, whatever its lines begin with", async () => {
      const { status, body } = await rooms.ask("answers.test");
      expect({ status, body }).to.deep.equal({
        status: 404,
        body: "Not here\nSorry\nDo ask at the desk",
      });
      expect(rooms.report("answers.test")).to.deep.include({ errors: 0, lastError: null });
    });

    it("a script runs once: for another spelling of its host, or another host of its wildcard", async () => {
      expect((await rooms.ask("same.test")).status).to.equal(200);
      expect(ranOf("plain")).to.equal("same>");
      expect((await rooms.ask("a.cover.test")).status).to.equal(200);
      expect(ranOf("plain")).to.equal("cover>");
    });

    it("a circle is answered with 508 and counted against the script that closed it", async () => {
      const before = rooms.requests("plain").length;
      const { status, body } = await rooms.ask("ring-a.test");
      expect(status).to.equal(508);
      expect(body).to.contain("rewrite_loop");
      expect(rooms.requests("plain").length).to.equal(before);
      expect(rooms.report("ring-c.test")).to.deep.include({
        errors: 1,
        lastError: "scripts/ring-c.test: its host is rewritten in a circle, back to ring-a.test",
      });
      expect(rooms.report("ring-a.test").errors).to.equal(0);
    });

    it("a chain ends after five more scripts", async () => {
      expect((await rooms.ask("chain-2.test")).status).to.equal(200);
      const { status } = await rooms.ask("chain-0.test");
      expect(status).to.equal(508);
      expect(rooms.report("chain-5.test").lastError).to.contain("rewritten more than 5 times");
    });

    it("a host that is refused leaves a request that goes on all the same as it came", async () => {
      expect(await rooms.ask("odd.test", "/as-it-came")).to.include({ status: 200, body: "plain" });
      const last = rooms.requests("plain").at(-1);
      expect(last?.target).to.equal("/as-it-came");
      expect(ranOf("plain")).to.equal(undefined);
    });
  });
