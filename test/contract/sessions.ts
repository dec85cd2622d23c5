/** The contract of `/v1/session` and of locks in the key/value store. */
import { randomUUID } from "node:crypto";
import { expect } from "chai";
import { type Contract, type Parsed, unique } from "./api.ts";

export const sessionsContract: Contract = (consul) => {
  async function create(body: object = {}): Promise<string> {
    const answer = await consul().put("/v1/session/create", body);
    expect(answer.status, answer.text).to.equal(200);
    return JSON.parse(answer.text).ID;
  }

  const acquire = async (key: string, session: string, value = "x") =>
    (await consul().put(`/v1/kv/${key}?acquire=${session}`, value)).text;

  const entryOf = async (key: string) => (await consul().read<Parsed[]>(`/v1/kv/${key}`))[0];

  it("shows a session with Consul's defaults", async () => {
    const id = await create({ Name: "n", TTL: "30s" });
    const [session] = await consul().read<Parsed[]>(`/v1/session/info/${id}`);
    const { Config } = await consul().read<{ Config: Parsed }>("/v1/agent/self");
    expect(session).to.deep.include({
      ID: id,
      Name: "n",
      Node: Config.NodeName,
      TTL: "30s",
      Behavior: "release",
      LockDelay: 15e9,
      NodeChecks: ["serfHealth"],
    });
    const listed = await consul().read<Parsed[]>("/v1/session/list");
    expect(listed.map(({ ID }) => ID)).to.include(id);
    const onNode = await consul().read<Parsed[]>(`/v1/session/node/${Config.NodeName}`);
    expect(onNode.map(({ ID }) => ID)).to.include(id);
    const renewed = await consul().put(`/v1/session/renew/${id}`);
    expect(JSON.parse(renewed.text)[0].ID).to.equal(id);
  });

  it("takes a lock delay as text, in nanoseconds and, when it is small, in seconds", async () => {
    for (const [given, expected] of [
      ["1s", 1e9],
      [2e9, 2e9],
      [3, 3e9],
    ] as const) {
      const id = await create({ LockDelay: given });
      const [session] = await consul().read<Parsed[]>(`/v1/session/info/${id}`);
      expect(session?.LockDelay).to.equal(expected);
    }
  });

  it("hands a lock over when its holder releases it", async () => {
    const key = unique("lock");
    const [one, two] = [await create(), await create()];
    expect(await acquire(key, one, "one")).to.equal("true");
    expect(await entryOf(key)).to.include({ Session: one, LockIndex: 1 });
    expect(await acquire(key, two, "two")).to.equal("false");
    expect((await consul().put(`/v1/kv/${key}?release=${two}`)).text).to.equal("false");
    // Who holds the lock may take it again, to write a new value.
    expect(await acquire(key, one, "still one")).to.equal("true");
    expect(await entryOf(key)).to.include({ Session: one, LockIndex: 1 });
    expect((await consul().put(`/v1/kv/${key}?release=${one}`, "free")).text).to.equal("true");
    expect(await entryOf(key)).not.to.have.property("Session");
    expect(await acquire(key, two, "two")).to.equal("true");
    expect(await entryOf(key)).to.include({ Session: two, LockIndex: 2 });
  });

  it("hands a lock over when its session ends, after the lock delay", async () => {
    const key = unique("lock");
    const [one, two] = [await create({ LockDelay: "1s" }), await create()];
    await acquire(key, one, "one");
    const { index } = await consul().get(`/v1/kv/${key}`);
    const waiting = consul().get(`/v1/kv/${key}?index=${index}&wait=5m`);
    const start = performance.now();
    expect((await consul().put(`/v1/session/destroy/${one}`)).text).to.equal("true");
    const [released] = JSON.parse((await waiting).text);
    expect(released).not.to.have.property("Session");
    expect(Buffer.from(released.Value, "base64").toString()).to.equal("one");
    while ((await acquire(key, two)) === "false");
    // Timers may fire a millisecond early.
    expect(performance.now() - start).to.be.at.least(995);
    expect(await entryOf(key)).to.include({ Session: two });
  });

  it("hands a lock over at once without a lock delay", async () => {
    const key = unique("lock");
    const [one, two] = [await create({ LockDelay: "0s" }), await create()];
    await acquire(key, one);
    await consul().write(`/v1/session/destroy/${one}`);
    expect(await acquire(key, two)).to.equal("true");
  });

  it("deletes what a session of that behaviour holds when it ends", async () => {
    const key = unique("lock");
    const session = await create({ Behavior: "delete" });
    await acquire(key, session);
    await consul().write(`/v1/session/destroy/${session}`);
    expect((await consul().get(`/v1/kv/${key}`)).status).to.equal(404);
    expect(await consul().read(`/v1/session/info/${session}`)).to.deep.equal([]);
  });

  it("leaves the lock to its holder when others write the key", async () => {
    const key = unique("lock");
    const session = await create();
    await acquire(key, session, "mine");
    await consul().write(`/v1/kv/${key}`, "anyone's");
    expect(await entryOf(key)).to.include({ Session: session });
  });

  it("ends a session when a check that it names goes critical", async () => {
    const check = unique("alive");
    await consul().write("/v1/agent/check/register", {
      Name: check,
      TTL: "1h",
      Status: "passing",
    });
    await consul().until<Parsed[]>("/v1/health/state/passing", (checks) =>
      checks.some(({ CheckID }) => CheckID === check),
    );
    const session = await create({ Checks: ["serfHealth", check] });
    await consul().write(`/v1/agent/check/fail/${check}`);
    await consul().until<unknown[]>(`/v1/session/info/${session}`, ({ length }) => length === 0);
    await consul().write(`/v1/agent/check/deregister/${check}`);
  });

  it("locks and unlocks in a transaction", async () => {
    const key = unique("lock");
    const session = await create();
    const on = (verb: string) => ({
      KV: { Verb: verb, Key: key, Session: session, Value: "eA==" },
    });
    expect((await consul().put("/v1/txn", [on("lock"), on("check-session")])).status).to.equal(200);
    expect(await entryOf(key)).to.include({ Session: session });
    expect((await consul().put("/v1/txn", [on("unlock")])).status).to.equal(200);
    const refused = await consul().put("/v1/txn", [on("unlock")]);
    expect(refused.status).to.equal(409);
    expect(refused.text).to.include("lock isn't held");
  });

  it("refuses locks and requests of sessions that are not there", async () => {
    const [key, nobody] = [unique("lock"), randomUUID()];
    const lock = await consul().put(`/v1/kv/${key}?acquire=${nobody}`, "x");
    expect(lock.status).to.equal(500);
    expect(lock.text).to.match(new RegExp(`(^|: )invalid session "${nobody}"$`));
    expect((await consul().put(`/v1/kv/${key}?acquire=short`)).status).to.equal(500);
    expect((await consul().get(`/v1/kv/${key}`)).status).to.equal(404);
    const renewed = await consul().put(`/v1/session/renew/${nobody}`);
    expect([renewed.status, renewed.text]).to.deep.equal([404, `Session id '${nobody}' not found`]);
    expect((await consul().put(`/v1/session/destroy/${nobody}`)).text).to.equal("true");
    expect(await consul().read(`/v1/session/info/${nobody}`)).to.deep.equal([]);
    const odd = await consul().get("/v1/session/info/short");
    // Newer versions have no such session.
    const said = `${odd.status} ${odd.text}`;
    expect(said).to.be.oneOf([
      "500 failed session lookup: index error: UUID must be 36 characters",
      "200 []",
    ]);
  });

  it("refuses what is no session", async () => {
    const expectations = [
      [{ TTL: "1s" }, 500, /must be between \[10s=24h0m0s\]/],
      [{ TTL: "25h" }, 500, /must be between/],
      [{ TTL: "abc" }, 500, /invalid duration "abc"/],
      [{ Behavior: "keep" }, 500, /^Invalid Behavior setting 'keep'$/],
      [{ LockDelay: "abc" }, 400, /invalid duration "abc"/],
      [{ Node: "nowhere" }, 500, /(^|: )Missing node registration$/],
      [{ NodeChecks: ["none"] }, 500, /(^|: )Missing check 'none' registration$/],
      ["{", 400, /decode failed/],
    ] as const;
    for (const [body, status, text] of expectations) {
      const answer = await consul().put("/v1/session/create", body);
      expect(answer.status, answer.text).to.equal(status);
      expect(answer.text).to.match(text);
    }
  });
};
