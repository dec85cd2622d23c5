/** The contract of `/v1/kv` and `/v1/txn`. */
import { expect } from "chai";
import { type Contract, type Parsed, unique } from "./api.ts";

interface Entry extends Parsed {
  readonly Key: string;
  readonly Value: string | null;
  readonly ModifyIndex: number;
}

export const kvContract: Contract = (consul) => {
  it("keeps a value as base64 with its flags and indexes", async () => {
    const key = unique("kv");
    expect((await consul().put(`/v1/kv/${key}?flags=42`, "grüße")).text).to.equal("true");
    const answer = await consul().get(`/v1/kv/${key}`);
    const [entry] = JSON.parse(answer.text);
    expect(entry).to.include({ Key: key, Flags: 42, LockIndex: 0 });
    expect(Buffer.from(entry.Value, "base64").toString()).to.equal("grüße");
    expect(entry.CreateIndex).to.equal(entry.ModifyIndex).and.equal(answer.index);
    expect(entry).not.to.have.property("Session");
    expect(answer.headers.get("Content-Type")).to.equal("application/json");
  });

  it("has null for an empty value", async () => {
    const key = unique("kv");
    await consul().write(`/v1/kv/${key}`);
    const [entry] = await consul().read<Entry[]>(`/v1/kv/${key}`);
    expect(entry?.Value).to.equal(null);
  });

  it("keeps CreateIndex and moves ModifyIndex when a value changes, and neither when it does not", async () => {
    const key = unique("kv");
    await consul().write(`/v1/kv/${key}`, "1");
    const [first] = await consul().read<Entry[]>(`/v1/kv/${key}`);
    await consul().write(`/v1/kv/${key}`, "1");
    expect(await consul().read(`/v1/kv/${key}`)).to.deep.equal([first]);
    await consul().write(`/v1/kv/${key}`, "2");
    const [second] = await consul().read<Entry[]>(`/v1/kv/${key}`);
    expect(second?.CreateIndex).to.equal(first?.CreateIndex);
    expect(second?.ModifyIndex).to.be.above(first?.ModifyIndex ?? Number.POSITIVE_INFINITY);
  });

  it("gives the raw value, safe from being run by a browser", async () => {
    const key = unique("kv");
    await consul().write(`/v1/kv/${key}`, "<script>");
    const answer = await consul().get(`/v1/kv/${key}?raw`);
    expect(answer.text).to.equal("<script>");
    // Newer versions say of which character set.
    expect(answer.headers.get("Content-Type")).to.match(/^text\/plain(; charset=utf-8)?$/);
    expect(answer.headers.get("X-Content-Type-Options")).to.equal("nosniff");
    expect(answer.headers.get("Content-Security-Policy")).to.equal("sandbox");
  });

  it("answers 404 with an index and no body for what is not there", async () => {
    for (const query of ["", "?raw", "?recurse", "?keys"]) {
      const answer = await consul().get(`/v1/kv/${unique("nothing")}${query}`);
      expect([answer.status, answer.text], query).to.deep.equal([404, ""]);
      expect(answer.index, query).to.be.at.least(1);
    }
  });

  it("refuses to read or write a key without a name", async () => {
    for (const answer of [await consul().get("/v1/kv/"), await consul().put("/v1/kv/", "x")]) {
      expect([answer.status, answer.text]).to.deep.equal([400, "Missing key name"]);
    }
  });

  it("lists a tree by prefix in order, and everything below no prefix", async () => {
    const root = unique("tree");
    for (const key of ["b", "a", "a/x", "c/d/e"])
      await consul().write(`/v1/kv/${root}/${key}`, key);
    const entries = await consul().read<Entry[]>(`/v1/kv/${root}/?recurse`);
    const keys = ["a", "a/x", "b", "c/d/e"].map((key) => `${root}/${key}`);
    expect(entries.map(({ Key }) => Key)).to.deep.equal(keys);
    // A prefix is not a path: it may end within a segment.
    const partial = await consul().read<Entry[]>(`/v1/kv/${root.slice(0, -1)}?recurse`);
    expect(partial.map(({ Key }) => Key)).to.include.members(keys);
    expect(await consul().read<string[]>("/v1/kv/?keys")).to.include.members(keys);
  });

  it("lists keys, cut at the separator that follows the prefix", async () => {
    const root = unique("keys");
    for (const key of ["", "/a", "/b/c", "/b/d", "/e:f"]) {
      await consul().write(`/v1/kv/${root}${key}`, "x");
    }
    const keys = (query: string) => consul().read<string[]>(`/v1/kv/${root}${query}`);
    expect(await keys("/?keys")).to.deep.equal(
      ["/a", "/b/c", "/b/d", "/e:f"].map((key) => root + key),
    );
    expect(await keys("/?keys&separator=/")).to.deep.equal(
      ["/a", "/b/", "/e:f"].map((key) => root + key),
    );
    expect(await keys("?keys&separator=/")).to.deep.equal([root, `${root}/`]);
    expect(await keys("/e?keys&separator=:")).to.deep.equal([`${root}/e:`]);
  });

  it("writes with cas=0 only what is not there, with another only what has that index", async () => {
    const path = `/v1/kv/${unique("cas")}`;
    const put = async (cas: number, value: string) =>
      (await consul().put(`${path}?cas=${cas}`, value)).text;
    expect(await put(7, "no")).to.equal("false");
    expect(await put(0, "one")).to.equal("true");
    expect(await put(0, "two")).to.equal("false");
    const [entry] = await consul().read<Entry[]>(path);
    const index = entry?.ModifyIndex ?? 0;
    expect(await put(index - 1, "two")).to.equal("false");
    expect(await put(index, "two")).to.equal("true");
    expect((await consul().get(`${path}?raw`)).text).to.equal("two");
  });

  it("deletes with cas only what has that index; what is not there counts as deleted", async () => {
    const path = `/v1/kv/${unique("cas")}`;
    await consul().write(path, "x");
    const [entry] = await consul().read<Entry[]>(path);
    const index = entry?.ModifyIndex ?? 0;
    expect((await consul().delete(`${path}?cas=${index - 1}`)).text).to.equal("false");
    expect((await consul().get(path)).status).to.equal(200);
    expect((await consul().delete(`${path}?cas=${index}`)).text).to.equal("true");
    expect((await consul().get(path)).status).to.equal(404);
    expect((await consul().delete(`${path}?cas=${index}`)).text).to.equal("true");
    expect((await consul().delete(path)).text).to.equal("true");
  });

  it("deletes a tree and nothing beside it", async () => {
    const root = unique("tree");
    for (const key of ["a/1", "a/2", "ab"]) await consul().write(`/v1/kv/${root}/${key}`, "x");
    expect((await consul().delete(`/v1/kv/${root}/a/?recurse`)).text).to.equal("true");
    expect(await consul().read(`/v1/kv/${root}/?keys`)).to.deep.equal([`${root}/ab`]);
  });

  it("takes keys with any characters, encoded", async () => {
    const root = unique("odd");
    for (const name of ["a b", "ü€😀", "100%", "?x=1", "#", "a+b", '"quoted"', "*.example.com"]) {
      const path = `/v1/kv/${root}/${encodeURIComponent(name)}`;
      await consul().write(path, name);
      expect((await consul().get(`${path}?raw`)).text).to.equal(name);
      expect(await consul().read(`/v1/kv/${root}/?keys`)).to.include(`${root}/${name}`);
    }
  });

  it("takes a value of 512 KiB and refuses one byte more with 413", async () => {
    const path = `/v1/kv/${unique("big")}`;
    const limit = 512 * 1024;
    expect((await consul().put(path, "x".repeat(limit))).text).to.equal("true");
    const refused = await consul().put(path, "y".repeat(limit + 1));
    expect(refused.status).to.equal(413);
    expect(refused.text).to.include("too large, max size: 524288 bytes");
    expect((await consul().get(`${path}?raw`)).text).to.equal("x".repeat(limit));
  });

  it("refuses options that contradict each other or are no numbers", async () => {
    const path = `/v1/kv/${unique("bad")}`;
    const both = await consul().put(`${path}?cas=1&acquire=x`, "x");
    expect([both.status, both.text.trim()]).to.deep.equal([
      400,
      "Conflicting flags: acquire=x&cas=1",
    ]);
    expect((await consul().delete(`${path}?recurse&cas=1`)).status).to.equal(400);
    for (const query of ["cas=abc", "cas=", "flags=-1"]) {
      const answer = await consul().put(`${path}?${query}`, "x");
      expect(answer.status, query).to.equal(500);
      expect(answer.text, query).to.include("invalid syntax");
    }
    expect((await consul().get(path)).status).to.equal(404);
  });

  describe("in a transaction", () => {
    const set = (key: string, value: string) => ({
      KV: { Verb: "set", Key: key, Value: Buffer.from(value).toString("base64") },
    });
    const on = (verb: string, key: string, more: object = {}) => ({
      KV: { Verb: verb, Key: key, ...more },
    });

    it("writes all keys under one index and answers without their values", async () => {
      const root = unique("txn");
      const answer = await consul().put("/v1/txn", [set(`${root}/a`, "1"), set(`${root}/b`, "2")]);
      const { Results, Errors } = JSON.parse(answer.text);
      expect([answer.status, Errors]).to.deep.equal([200, null]);
      expect(Results).to.have.length(2);
      expect(Results[0].KV).to.include({ Key: `${root}/a`, Value: null });
      expect(Results[0].KV.ModifyIndex).to.equal(Results[1].KV.ModifyIndex);
      expect((await consul().get(`/v1/kv/${root}/b?raw`)).text).to.equal("2");
    });

    it("writes nothing when one operation fails, and names each that does", async () => {
      const root = unique("txn");
      const answer = await consul().put("/v1/txn", [
        set(`${root}/a`, "1"),
        on("cas", `${root}/b`, { Index: 9, Value: "eA==" }),
        on("get", `${root}/c`),
      ]);
      expect(answer.status).to.equal(409);
      expect(JSON.parse(answer.text)).to.deep.include({
        Results: null,
        Errors: [
          { OpIndex: 1, What: `failed to set key "${root}/b", index is stale` },
          { OpIndex: 2, What: `key "${root}/c" doesn't exist` },
        ],
      });
      expect((await consul().get(`/v1/kv/${root}/a`)).status).to.equal(404);
    });

    it("reads, checks and deletes in order", async () => {
      const root = unique("txn");
      const answer = await consul().put("/v1/txn", [
        set(`${root}/a`, "1"),
        on("get", `${root}/a`),
        on("get-tree", `${root}/`),
        on("check-not-exists", `${root}/b`),
        on("delete", `${root}/a`),
        on("check-not-exists", `${root}/a`),
      ]);
      expect(answer.status, answer.text).to.equal(200);
      const values = JSON.parse(answer.text).Results.map(({ KV }: { KV: Entry }) => KV.Value);
      expect(values).to.deep.equal([null, "MQ==", "MQ=="]);
    });

    it("refuses unknown verbs, broken bodies and more operations than it takes", async () => {
      const unknown = await consul().put("/v1/txn", [on("bogus", "x")]);
      expect(unknown.status).to.equal(409);
      expect(unknown.text).to.include("bogus");
      for (const body of ["[", "{}", '[{"Foo":1}]', '[{"KV":{"Verb":"set","Value":"%"}}]']) {
        expect((await consul().put("/v1/txn", body)).status, body).to.equal(400);
      }
      // 64 before 1.13, and 128 since.
      const many = Array.from({ length: 129 }, () => on("get", "x"));
      expect((await consul().put("/v1/txn", many)).status).to.equal(413);
    });
  });
};
