import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Exchange } from "../engine/engine.ts";
import { Peer } from "../engine/peer.ts";
import { AccessLog, findMistake } from "./access-log.ts";

/** What the log reads from an exchange; the end-to-end suite drives the whole path. */
function exchange(parts: Partial<Exchange<unknown>>): Exchange<unknown> {
  const headers: Record<string, string> = { "user-agent": 'curl "7" \\ \xe9' };
  return {
    id: "abc1-1",
    clientAddress: "127.0.0.1",
    listener: 0,
    proxyAddress: "",
    method: "GET",
    host: "a.example.com",
    path: '/a"b',
    query: "x=1",
    status: 200,
    errorCode: "",
    durationMs: 1.23456,
    bytesIn: 0,
    bytesOut: 12,
    tries: 1,
    peer: new Peer("127.0.0.1", 80),
    header: (name: string) => headers[name],
    ...parts,
  } as Exchange<unknown>;
}

describe("access log", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-access-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function written(log: AccessLog): Promise<Record<string, unknown>[]> {
    await log.close();
    const text = await readFile(join(directory, "access.log"), "utf8");
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  function open(troubles: string[] = []): AccessLog {
    return new AccessLog({
      target: join(directory, "access.log"),
      onTrouble: (message) => troubles.push(message),
      now: () => 1_800_000_000_000,
    });
  }

  it("writes one JSON line of bunyan's shape for each request", async () => {
    const log = open();
    log.record(exchange({}), "web");
    const refused = { status: 404, errorCode: "no_route", peer: null, query: "", tries: 0 };
    log.record(exchange(refused), "");
    const proxied = { clientAddress: "2001:db8::1", proxyAddress: "10.0.0.1" };
    log.record(exchange({ bytesIn: 7, tries: 2, ...proxied }), "web");
    const [first, second, third] = await written(log);
    expect(first).to.include({
      name: "sluice-access",
      level: 30,
      v: 0,
      pid: process.pid,
      time: "2027-01-15T08:00:00.000Z",
      target: '/a"b?x=1',
      status: 200,
      ms: 1.235,
      upstream: "web",
      peer: "127.0.0.1:80",
      userAgent: 'curl "7" \\ \xe9',
    });
    expect(second).to.include({ status: 404, error: "no_route", target: '/a"b' });
    expect(second).not.to.have.any.keys("upstream", "peer");
    expect(first).not.to.have.any.keys("bytesIn", "tries", "error", "proxy");
    expect(third).to.include({ client: "2001:db8::1", proxy: "10.0.0.1", bytesIn: 7, tries: 2 });
  });

  it("keeps every record of many batches, in order", async () => {
    const log = open();
    for (let bytesOut = 0; bytesOut < 5_000; bytesOut += 1)
      log.record(exchange({ bytesOut }), "web");
    const records = await written(log);
    expect(records.map((record) => record.bytesOut)).to.deep.equal([...Array(5_000).keys()]);
  });

  it("says so when its file cannot be written", async () => {
    const troubles: string[] = [];
    const log = new AccessLog({
      target: join(directory, "missing", "access.log"),
      onTrouble: (message) => troubles.push(message),
    });
    log.record(exchange({}), "web");
    await log.close();
    expect(troubles.join()).to.match(/access log: ENOENT.*missing/);
  });

  it("tells a target that is a mistake from one that only cannot be written now", async () => {
    expect(await findMistake("-")).to.equal(null);
    expect(await findMistake(join(directory, "new.log"))).to.equal(null);
    expect(await findMistake(directory)).to.have.property("code", "EISDIR");
    expect(await findMistake(join(directory, "no", "new.log"))).to.have.property("code", "ENOENT");
    expect(await findMistake("/dev/full")).to.equal(null);
    const pipe = join(directory, "pipe");
    execFileSync("mkfifo", [pipe]);
    expect(await findMistake(pipe), "a named pipe that nobody reads yet").to.equal(null);
  });
});
