import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { fieldOf } from "../../test/support/http.ts";
import { Rooms } from "../../test/support/rooms.ts";
import { noPhases, type Phase } from "../sites/index.ts";

describe("the phases of a site", () => {
  let rooms: Rooms | null = null;
  afterEach(async () => {
    await rooms?.close();
    rooms = null;
  });

  const said: string[] = [];
  beforeEach(() => said.splice(0));

  /** Notes each of its calls, and what it saw by then. */
  const noting = (name: string, onRequest: Phase["onRequest"] = () => true): Phase => ({
    name,
    onRequest(exchange, context) {
      said.push(`${name} ${exchange.host}`);
      return onRequest(exchange, context);
    },
    onResponse(_, { host, at }) {
      said.push(`${name} answered, ${host} ${at}`);
    },
    onEnd: (exchange) => void said.push(`${name} ended with ${exchange.status}`),
  });

  async function open(
    phases: Readonly<Record<string, readonly Phase[]>>,
    scripts: Readonly<Record<string, string>> = {},
  ): Promise<Rooms> {
    rooms = await Rooms.open({
      engine: "http1",
      upstreams: ["web"],
      hosts: Object.fromEntries(Object.keys(phases).map((host) => [host, "web"])),
      scripts,
      phasesOf: (key) => ({ ...noPhases, behindScript: phases[key] ?? [] }),
    });
    return rooms;
  }

  /** An exchange may end after its client has the answer. */
  const ended = (count: number) =>
    until(
      "every phase has ended",
      () => said.filter((line) => line.includes("ended")).length === count,
    );

  it("are met in order, and again from the last to the first", async () => {
    const { ask } = await open({ "a.test": [noting("one"), noting("two")] });
    expect((await ask("a.test")).body).to.equal("web");
    await ended(2);
    expect(said).to.deep.equal([
      ...["one a.test", "two a.test"],
      ...["two answered, a.test 2", "one answered, a.test 2"],
      ...["two ended with 200", "one ended with 200"],
    ]);
  });

  it("end with the one that answers", async () => {
    const denies = noting("denies", (exchange) => {
      exchange.fail(403, "denied", "no");
      return false;
    });
    const { ask } = await open({ "a.test": [noting("one"), denies, noting("never")] });
    expect((await ask("a.test")).status).to.equal(403);
    await ended(2);
    expect(said.filter((line) => line.includes("ended"))).to.deep.equal([
      "denies ended with 403",
      "one ended with 403",
    ]);
    expect(said.join()).not.to.contain("never");
    expect(rooms?.requests("web")).to.deep.equal([]);
  });

  it("go on behind the one that held the exchange", async () => {
    const holds = noting("holds", (exchange) => {
      const { serial } = exchange;
      exchange.hold();
      setImmediate(() => {
        if (exchange.serial === serial) exchange.resume();
      });
      return false;
    });
    const { ask } = await open({ "a.test": [noting("one"), holds, holds, noting("two")] });
    expect((await ask("a.test")).body).to.equal("web");
    expect(said.slice(0, 4)).to.deep.equal([
      "one a.test",
      "holds a.test",
      "holds a.test",
      "two a.test",
    ]);
  });

  it("come behind the host's script, which says what they look at", async () => {
    const path = noting("path", (exchange) => {
      said.push(exchange.path);
      return true;
    });
    const script = `export default (request) => { request.path = "/new"; };`;
    const { ask } = await open({ "a.test": [path] }, { "a.test": script });
    await ask("a.test", "/old");
    expect(said.slice(0, 2)).to.deep.equal(["path a.test", "/new"]);
  });

  it("of another host change what the script of that host sees", async () => {
    const changes: Phase = {
      name: "changes",
      onRequest(exchange) {
        exchange.setHeader("X-Set", "by a phase");
        exchange.removeHeader("X-Secret");
        return true;
      },
    };
    rooms = await Rooms.open({
      engine: "http1",
      upstreams: ["web"],
      hosts: { "a.test": "web", "b.test": "web" },
      scripts: {
        "a.test": `export default (request) => {
          request.headers.set("x-secret", "a"); request.host = "b.test:81"; };`,
        "b.test": `export default ({ headers }) => {
          headers.set("x-seen", ["x-set", "x-secret", "host"].map((name) => headers.get(name)).join()); };`,
      },
      phasesOf: (key) => ({ ...noPhases, beforeScript: key === "b.test" ? [changes] : [] }),
    });
    await rooms.ask("a.test");
    const got = rooms.requests("web").at(-1) ?? { headers: [] };
    expect(fieldOf(got, "x-seen")).to.equal("by a phase,,b.test:81");
  });

  it("of another host that one of them gives the request are met as well, behind all of its own", async () => {
    const sends = noting("sends", (exchange) => {
      exchange.authority = "b.test";
      return true;
    });
    const { ask } = await open({ "a.test": [sends, noting("a")], "b.test": [noting("b")] });
    expect((await ask("a.test")).body).to.equal("web");
    await ended(3);
    expect(said).to.deep.equal([
      ...["sends a.test", "a b.test", "b b.test"],
      ...["b answered, b.test 1", "a answered, b.test 2", "sends answered, b.test 2"],
      ...["b ended with 200", "a ended with 200", "sends ended with 200"],
    ]);
  });

  it("cannot send a request round for ever", async () => {
    const to = (authority: string) =>
      noting(`to ${authority}`, (exchange) => {
        exchange.authority = authority;
        return true;
      });
    const { ask } = await open({ "a.test": [to("b.test")], "b.test": [to("a.test")] });
    const { status, body } = await ask("a.test");
    expect(status).to.equal(508);
    expect(body).to.contain("more than 10 times");
  });
});
