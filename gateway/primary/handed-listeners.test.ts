import { once } from "node:events";
import { connect, createServer } from "node:net";
import { expect } from "chai";
import { freePort } from "../../test/support/ports.ts";
import { parseListenerDocument } from "../documents/index.ts";
import type { ListenerDocument } from "../model/index.ts";
import { HandedListeners, type Handing } from "./handed-listeners.ts";

describe("listeners that workers are handed", () => {
  let handed: HandedListeners;
  let sent: Handing[];
  let retries: { readonly run: () => void }[];
  let waits: number[];
  let changes: number;

  beforeEach(() => {
    [sent, retries, waits, changes] = [[], [], [], 0];
    handed = new HandedListeners({
      inherited: [],
      datagrams: [],
      ports: [{ from: 1024, to: 65_535 }],
      workers: 2,
      drainTimeoutMs: 5,
      prefix: "p/",
      send: (message) => sent.push(message),
      onFindings: () => {
        changes += 1;
      },
      clock: {
        after: (ms, run) => {
          const retry = { run };
          retries.push(retry);
          waits.push(ms);
          return () => {
            retries = retries.filter((one) => one !== retry);
          };
        },
      },
      log: {
        trace() {},
        debug() {},
        info() {},
        warn() {},
        error() {},
        fatal() {},
      },
    });
  });
  afterEach(() => handed.close());

  const listener = (port: number, more: object = {}) =>
    parseListenerDocument(
      "p/listeners/x",
      JSON.stringify({ address: `127.0.0.1:${port}`, protocol: "tcp", upstream: "db", ...more }),
    );
  const update = (table: Readonly<Record<string, ListenerDocument>>) =>
    handed.update(new Map(Object.entries(table)));
  const types = () => sent.splice(0).map(({ type, listener: id }) => `${type} ${id}`);
  const told = () => handed.findings().map(({ key, warning }) => `${key}: ${warning}`);
  /** Whether somebody else could have the port now. */
  async function isFree(port: number): Promise<boolean> {
    const server = createServer().listen(port, "127.0.0.1");
    const isBound = await once(server, "listening").then(
      () => true,
      () => false,
    );
    server.close();
    return isBound;
  }

  it("are opened, changed in place, moved and closed as Consul says", async () => {
    const [first, second] = [await freePort(), await freePort()];
    update({ one: listener(first) });
    expect(types()).to.deep.equal(["openListener 0"]);
    expect(handed.list()).to.deep.equal([
      {
        name: "one",
        protocol: "tcp",
        address: `127.0.0.1:${first}`,
        upstream: "db",
        from: "p/listeners/one",
      },
    ]);
    update({ one: listener(first) });
    expect(types(), "nothing has changed").to.deep.equal([]);
    update({ one: listener(first, { upstream: "other" }) });
    expect(types()).to.deep.equal(["listenerTerms 0"]);
    update({ one: listener(second, { upstream: "other" }) });
    expect(types(), "another place is another listener").to.deep.equal([
      "closeListener 0",
      "openListener 1",
    ]);
    expect(await isFree(first)).to.equal(true);
    update({});
    expect(types()).to.deep.equal(["closeListener 1"]);
    expect([await isFree(second), handed.list().length, told()]).to.deep.equal([true, 0, []]);
  });

  it("are given to a worker that starts later, a socket of its own each for datagrams", async () => {
    const [tcp, udp] = [await freePort(), await freePort()];
    update({ one: listener(tcp), two: listener(udp, { protocol: "udp" }) });
    const all = [...handed.forWorker()];
    expect(all.map(([{ terms }]) => terms.name)).to.deep.equal(["one", "two"]);
    const [[, ofTcp], [, ofUdp]] = all as [(typeof all)[0], (typeof all)[0]];
    expect(ofTcp.handleFor(1)).to.equal(ofTcp.handleFor(2));
    expect(ofUdp.handleFor(1)).to.not.equal(ofUdp.handleFor(2));
    expect(ofUdp.handleFor(1), "of a place, not of a worker").to.equal(ofUdp.handleFor(1));
    expect(handed.find(0)?.[0].terms.name).to.equal("one");
    expect(handed.find(7)).to.equal(null);
  });

  it("are told of by their keys when they cannot be opened, and tried again", async () => {
    const port = await freePort();
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    update({ low: listener(80), one: listener(port), two: listener(await freePort()) });
    expect(types(), "the others are opened").to.have.lengthOf(1);
    expect(told()[0]).to.equal(
      "p/listeners/low: port 80 is not among those that --kv-listener-ports allows",
    );
    expect(told()[1]).to.match(
      /^p\/listeners\/one: is not open: 127\.0\.0\.1:\d+: another process/,
    );
    expect(changes).to.equal(1);
    server.close();
    await once(server, "close");
    for (const { run } of retries) run();
    expect(types()).to.have.lengthOf(1);
    expect([told().length, changes]).to.deep.equal([1, 2]);
  });

  it("are closed when a worker cannot listen on one, however many say so, and tried again", async () => {
    const port = await freePort();
    update({ one: listener(port) });
    types();
    expect(handed.failed(0, "EADDRINUSE")).to.equal(true);
    expect(handed.failed(0, "EADDRINUSE")).to.equal(true);
    expect(types()).to.deep.equal(["closeListener 0"]);
    expect([told(), changes]).to.deep.equal([["p/listeners/one: is not open: EADDRINUSE"], 1]);
    for (const { run } of retries) run();
    expect(types()).to.deep.equal(["openListener 1"]);
    expect(told()).to.deep.equal([]);
  });

  it("are not two of one place", async () => {
    const port = await freePort();
    update({ a: listener(port), b: listener(port) });
    expect(types()).to.deep.equal(["openListener 0"]);
    expect(told()).to.deep.equal([
      `p/listeners/b: is not open: p/listeners/a has tcp 127.0.0.1:${port}`,
    ]);
    update({ b: listener(port) });
    expect(types(), "it is handed over and not closed").to.deep.equal(["listenerTerms 0"]);
    expect([handed.list()[0]?.from, told()]).to.deep.equal(["p/listeners/b", []]);
  });

  it("stay open where keys change places, or a key its protocol", async () => {
    const [one, two] = [await freePort(), await freePort()];
    const udp = { protocol: "udp" };
    update({ a: listener(one), b: listener(two), c: listener(one, udp) });
    expect(types()).to.deep.equal(["openListener 0", "openListener 1", "openListener 2"]);
    update({ a: listener(two, { upstream: "x" }), b: listener(one), d: listener(one, udp) });
    expect(types().sort()).to.deep.equal(["listenerTerms 0", "listenerTerms 1", "listenerTerms 2"]);
    const places = () =>
      handed.list().map(({ from, address, protocol }) => [from, protocol, address]);
    expect(places().sort()).to.deep.equal([
      ["p/listeners/a", "tcp", `127.0.0.1:${two}`],
      ["p/listeners/b", "tcp", `127.0.0.1:${one}`],
      ["p/listeners/d", "udp", `127.0.0.1:${one}`],
    ]);
    const passthrough = { protocol: "tls-passthrough", upstream: undefined };
    update({ a: listener(two, passthrough) });
    expect(types().sort()).to.deep.equal(["closeListener 0", "closeListener 2", "listenerTerms 1"]);
    expect(places()).to.deep.equal([["p/listeners/a", "tls-passthrough", `127.0.0.1:${two}`]]);
  });

  it("are tried again soon where a worker may still have the port, and then less often", async () => {
    const port = await freePort();
    update({ one: listener(port) });
    const worker = createServer().listen(port, "127.0.0.1");
    await once(worker, "listening");
    update({ one: listener(port, { address: `:${port}` }) });
    for (let tries = 0; tries < 20; tries += 1) for (const { run } of [...retries]) run();
    expect(waits.slice(0, 10)).to.deep.equal(Array(10).fill(waits[0]));
    expect(new Set(waits.slice(10)).size).to.equal(1);
    expect(waits[10]).to.be.above(waits[0] ?? 0);
    worker.close();
    await once(worker, "close");
    for (const { run } of [...retries]) run();
    expect([handed.list()[0]?.address, told()]).to.deep.equal([`0.0.0.0:${port}`, []]);
  });

  it("are not two of one place in other words", async () => {
    const port = await freePort();
    const at = (host: string, more: object = {}) =>
      listener(port, { address: `${host}:${port}`, ...more });
    const words = ["[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "0.0.0.0", "", "127.0.0.1", "[::1]"];
    update(Object.fromEntries([...words, "[::ffff:127.0.0.1]"].map((word) => [word, at(word)])));
    expect(types()).to.deep.equal(["openListener 0"]);
    expect(new Set(told().map((line) => line.replace(/^[^ ]* /, "")))).to.deep.equal(
      new Set([`is not open: p/listeners/[::] has tcp [::]:${port}`]),
    );
    expect(told()).to.have.lengthOf(words.length);
    expect(retries, "time alone mends none of them").to.deep.equal([]);
    update({ v4: at("127.0.0.1"), mapped: at("[::ffff:7f00:1]"), v6: at("[::1]") });
    expect(types()).to.deep.equal(["closeListener 0", "openListener 1", "openListener 2"]);
    expect(told()).to.deep.equal([
      `p/listeners/mapped: is not open: p/listeners/v4 has tcp 127.0.0.1:${port}`,
    ]);
  });

  it("are not more than descriptors are set aside for, and those that are open stay", async () => {
    const port = await freePort();
    const many = Array.from({ length: 150 }, (_, n) => {
      const host = `127.0.${n >> 7}.${1 + (n & 127)}`;
      return [`n${n}`, listener(port, { address: `${host}:${port}` })] as const;
    });
    update(Object.fromEntries(many));
    expect(types()).to.have.lengthOf(128);
    expect(told()).to.have.lengthOf(22);
    expect(told()[0]).to.equal(
      "p/listeners/n128: is not open: 128 other keys have listeners, and more are not opened",
    );
    update(Object.fromEntries(many.slice(22)));
    expect(told(), "there is room now").to.deep.equal([]);
    expect(types()).to.have.lengthOf(44);
  });

  it("are bound and not accepted on by this process", async () => {
    const port = await freePort();
    update({ one: listener(port) });
    const client = connect(port, "127.0.0.1");
    const [error] = await once(client, "error");
    expect(error.code).to.equal("ECONNREFUSED");
  });
});
