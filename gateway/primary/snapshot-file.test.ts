import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import bunyan from "bunyan";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import type { Served, Snapshot } from "../model/index.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { SnapshotFile } from "./snapshot-file.ts";

describe("snapshot file", () => {
  let directory = "";
  let lines: string[] = [];
  let clock = new ManualClock();
  let version = 0;

  const changes: readonly Served[] = [
    { kind: "setting", key: "limits", value: { ü: [1, true, "x"] } },
    { kind: "catalog", key: "thumb", value: ["v1"] },
  ];
  const source = (): Snapshot => ({ boot: "b", version, changes });

  const make = (at = directory) => {
    const stream = { write: (line: object) => lines.push(String(line)) };
    const log = bunyan.createLogger({ name: "test", streams: [{ stream }] });
    const memory = () => ({ sources: "know" });
    return new SnapshotFile({ directory: at, source, memory, clock, log, intervalMs: 1000 });
  };

  const written = async (file = make()) => {
    file.schedule();
    await file.close();
    return file.path;
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-snapshot-"));
    lines = [];
    clock = new ManualClock();
    version = 7;
  });

  afterEach(() => rm(directory, { recursive: true }));

  it("reads back what it wrote, and leaves no other file behind", async () => {
    const path = await written(make(join(directory, "made", "on", "the", "way")));
    const loaded = await make(join(path, "..")).load();
    const memory = { sources: "know" };
    expect(loaded).to.deep.equal({ changes, memory, version: 7, writtenAt: clock.now() });
    expect(await readdir(join(path, ".."))).to.deep.equal(["last-known-good.snapshot"]);
    expect((await stat(path)).mode & 0o077).to.equal(0);
    expect(lines).to.deep.equal([]);
  });

  it("reads a file of the format before, which has the changes alone", async () => {
    const body = JSON.stringify(changes);
    const sha256 = createHash("sha256").update(body).digest("hex");
    const head = { format: 1, sha256, bytes: Buffer.byteLength(body), version: 3, writtenAt: 5 };
    const path = join(directory, "last-known-good.snapshot");
    await writeFile(path, `${JSON.stringify(head)}\n${body}`);
    expect(await make().load()).to.deep.equal({ changes, memory: null, version: 3, writtenAt: 5 });
    expect(lines).to.deep.equal([]);
  });

  it("finds nothing, and says nothing, when there is no file", async () => {
    expect(await make().load()).to.equal(null);
    expect(lines).to.deep.equal([]);
  });

  it("writes at most once in its interval, and the last state of it", async () => {
    const file = make();
    file.schedule();
    clock.advance(0);
    await until("the first write", () => file.status().version === 7);
    for (version = 8; version < 20; version += 1) {
      file.schedule();
      clock.advance(10);
    }
    expect(file.status().version).to.equal(7);
    clock.advance(1000);
    await until("the second write", () => file.status().version === 20);
    expect(clock.pending).to.equal(0);
  });

  it("says when another gateway writes there, too, once, and until it does so no more", async () => {
    const [one, other] = [make(), make()];
    await written(one);
    clock.advance(5_000);
    await written(other);
    expect(lines, "the file of an earlier process is nobody's fault").to.deep.equal([]);
    for (let turn = 0; turn < 2; turn += 1) {
      clock.advance(5_000);
      version += 1;
      await written(one);
      clock.advance(5_000);
      await written(other);
    }
    const said = `another gateway writes ${one.path}, too: give each a --data-dir of its own`;
    expect([one.status().error, other.status().error]).to.deep.equal([said, said]);
    expect(lines.map((line) => JSON.parse(line).msg)).to.deep.equal([said, said]);
    await written(other);
    expect(other.status().error).to.equal(null);
  });

  it("writes what is due when it is closed", async () => {
    const file = make();
    await written(file);
    version = 9;
    file.schedule();
    await file.close();
    expect((await make().load())?.version).to.equal(9);
  });

  const damages: readonly (readonly [what: string, RegExp, (path: string) => Promise<void>])[] = [
    ["torn", /torn/, async (path) => truncate(path, (await stat(path)).size - 5)],
    ["empty", /does not begin as a snapshot/, (path) => truncate(path, 0)],
    ["cut in its first line", /does not begin as a snapshot/, (path) => truncate(path, 20)],
    [
      "changed in one byte",
      /checksum/,
      async (path) => writeFile(path, (await readFile(path, "utf8")).replace("thumb", "thump")),
    ],
    [
      "of an earlier format",
      /format 0, and this version of Sluice reads 2/,
      async (path) =>
        writeFile(path, (await readFile(path, "utf8")).replace('"format":2', '"format":0')),
    ],
  ];
  for (const [what, reason, damage] of damages) {
    it(`ignores a file that is ${what}, in one line that names it`, async () => {
      const path = await written();
      await damage(path);
      const before = await readFile(path);
      const file = make();
      expect(await file.load()).to.equal(null);
      expect(lines).to.have.length(1);
      expect(lines[0]).to.contain(path).and.match(reason);
      expect(file.status().error).to.match(reason);
      expect(await readFile(path)).to.deep.equal(before);
    });
  }

  for (const when of ["at the start", "while it runs"]) {
    it(`never touches a file of a later format that is there ${when}, and keeps its own beside it`, async () => {
      const path = await written();
      const later = `{"format":3,"made":"by a newer one"}\n${"x".repeat(10_000)}`;
      const file = make();
      if (when === "while it runs") await file.load();
      await writeFile(path, later);
      if (when === "at the start") expect(await file.load()).to.equal(null);
      version = 9;
      const own = await written(file);
      version = 10;
      await written(file);
      expect(await readFile(path, "utf8")).to.equal(later);
      expect(own).to.not.equal(path);
      expect(lines.filter((line) => line.includes("format 3"))).to.have.length(1);
      expect(lines[0]).to.contain(path).and.contain(own).and.contain("left alone");
      expect(file.status()).to.include({ path: own, leftAlone: path, error: null, version: 10 });
      const next = make();
      expect((await next.load())?.version).to.equal(10);
      expect(next.status().leftAlone).to.equal(path);
    });
  }

  it("reports a directory that cannot be written, and recovers when it can", async () => {
    const blocked = join(directory, "blocked");
    await writeFile(blocked, "a file where a directory should be");
    const file = make(blocked);
    await written(file);
    expect(file.status().error).to.contain("not written");
    expect(lines).to.have.length(1);
    await rm(blocked);
    await written(file);
    expect(file.status()).to.include({ error: null, version: 7 });
  });

  it("keeps the old file when the state cannot be written", async () => {
    await written();
    const file = new SnapshotFile({
      directory,
      source: () => ({ boot: "b", version: 8, changes: [...changes, broken] }),
      memory: () => null,
      clock,
      log: bunyan.createLogger({ name: "test", streams: [] }),
    });
    await written(file);
    expect(file.status().error).to.contain("not written");
    expect((await make().load())?.version).to.equal(7);
    expect(await readdir(directory)).to.deep.equal(["last-known-good.snapshot"]);
  });
});

/** What JSON cannot say. */
const broken: Served = {
  kind: "setting",
  key: "broken",
  get value(): never {
    throw new Error("no value");
  },
};
