import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { setKey } from "./kv.ts";
import { JournalFile, readSavedState, StateFileError } from "./state-file.ts";
import { Store } from "./store.ts";

describe("the state on disk", () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-state-"));
  });

  afterEach(() => rm(directory, { recursive: true }));

  const stateFile = () => join(directory, "state.json");
  const journalFile = () => join(directory, "journal.jsonl");

  async function open(): Promise<{ store: Store; journal: JournalFile }> {
    const store = new Store();
    const saved = await readSavedState(directory);
    store.restore(saved.image, saved.journal);
    const journal = await JournalFile.open(directory, () => store.image());
    store.onCommit((commit) => journal.append(commit));
    return { store, journal };
  }

  function write(store: Store, key: string, value = "eA=="): void {
    store.commit((tx) => setKey(tx, { key, value, flags: 0 }));
  }

  async function keys(): Promise<string[]> {
    const store = new Store();
    const saved = await readSavedState(directory);
    store.restore(saved.image, saved.journal);
    return [...store.rows("kv").keys()];
  }

  async function expectFault(text: string): Promise<void> {
    const fault = await readSavedState(directory).catch((error: unknown) => error);
    expect(fault).to.be.instanceOf(StateFileError).with.property("message").that.contains(text);
  }

  it("holds every commit as soon as it is flushed, without a proper end", async () => {
    const { store, journal } = await open();
    for (const key of ["a", "b", "c"]) {
      write(store, key);
      await journal.flushed();
      expect(await keys()).to.include(key);
    }
    await journal.close();
    expect(await keys()).to.deep.equal(["a", "b", "c"]);
  });

  it("flushes what comes together in one go, and leaves nothing out", async () => {
    const { store, journal } = await open();
    const flushes = Array.from({ length: 200 }, (_, at) => {
      write(store, `key-${at}`);
      return journal.flushed();
    });
    await Promise.all(flushes);
    expect(await keys()).to.have.length(200);
    await journal.close();
  });

  it("folds a long journal into the state", async () => {
    const { store, journal } = await open();
    const value = "x".repeat(300_000);
    for (let at = 0; at < 8; at += 1) {
      write(store, "one key", `${value}${at}`);
      await journal.flushed();
    }
    expect((await stat(journalFile())).size).to.be.below(2_000_000);
    expect((await stat(stateFile())).size).to.be.above(300_000);
    await journal.close();
    const reread = await readSavedState(directory);
    expect(reread.journal.length).to.be.below(8);
    expect(await keys()).to.deep.equal(["one key"]);
  });

  it("forgets half a line that was being written when the agent died", async () => {
    const { store, journal } = await open();
    write(store, "a");
    await journal.flushed();
    write(store, "b");
    await journal.close();
    await truncate(journalFile(), (await stat(journalFile())).size - 5);
    expect(await keys()).to.deep.equal(["a"]);
    const again = await open();
    write(again.store, "c");
    await again.journal.close();
    expect(await keys()).to.deep.equal(["a", "c"]);
  });

  it("names the file of a state that is torn, changed or nonsense", async () => {
    const { store, journal } = await open();
    write(store, "a");
    await journal.close();
    await (await open()).journal.close();
    const whole = await readFile(stateFile(), "utf8");
    const broken = [
      whole.slice(0, whole.length / 2),
      whole.replace('"a"', '"b"'),
      "",
      "{}",
      whole + whole,
    ];
    for (const text of broken) {
      await writeFile(stateFile(), text);
      await expectFault(stateFile());
    }
    await writeFile(stateFile(), whole);
    expect(await keys()).to.deep.equal(["a"]);
  });

  it("names the file and the line of a journal that is corrupt in its middle", async () => {
    const { store, journal } = await open();
    for (const key of ["a", "b"]) write(store, key);
    await journal.close();
    const lines = (await readFile(journalFile(), "utf8")).split("\n");
    lines[1] = (lines[1] ?? "").replace('"b"', '"c"');
    await writeFile(journalFile(), lines.join("\n"));
    await expectFault(`${journalFile()}: line 2`);
    await writeFile(journalFile(), "");
    await appendFile(journalFile(), "nonsense\n");
    await expectFault(`${journalFile()}: line 1`);
  });
});
