import { expect } from "chai";
import { deleteKey, getKey, listKeys, setKey } from "./kv.ts";
import { type Commit, Store } from "./store.ts";

describe("the store", () => {
  const value = (key: string) => ({ key, value: "eA==", flags: 0 });

  it("gives one index to everything in a commit, and none to a commit that writes nothing", () => {
    const store = new Store();
    const commits: Commit[] = [];
    store.onCommit((commit) => commits.push(commit));
    store.commit((tx) => {
      setKey(tx, value("a"));
      setKey(tx, value("b"));
    });
    store.commit((tx) => setKey(tx, value("a")));
    expect(store.index).to.equal(1);
    expect(commits).to.have.length(1);
    expect(listKeys(store, "").entries.map(({ ModifyIndex }) => ModifyIndex)).to.deep.equal([1, 1]);
  });

  it("takes back everything that a commit did before it failed", () => {
    const store = new Store();
    store.commit((tx) => setKey(tx, value("kept")));
    const before = store.image();
    const failing = () =>
      store.commit((tx) => {
        setKey(tx, value("new"));
        deleteKey(tx, "kept");
        throw new Error("on purpose");
      });
    expect(failing).to.throw("on purpose");
    expect(store.image()).to.deep.equal(before);
  });

  it("comes out the same of an image and a journal", () => {
    const store = new Store();
    const journal: Commit[] = [];
    store.commit((tx) => setKey(tx, value("a")));
    const image = structuredClone(store.image());
    store.onCommit((commit) => journal.push(commit));
    store.commit((tx) => setKey(tx, value("__proto__")));
    store.commit((tx) => deleteKey(tx, "a"));
    const restored = new Store();
    restored.restore(JSON.parse(JSON.stringify(image)), JSON.parse(JSON.stringify(journal)));
    expect(restored.image()).to.deep.equal(store.image());
    expect(getKey(restored, "__proto__").entry?.Value).to.equal("eA==");
  });

  it("never lets the index of a prefix go back, also after very many deletions", () => {
    const store = new Store();
    let last = 0;
    store.commit((tx) => setKey(tx, value("tree/stays")));
    for (let round = 0; round < 10_500; round += 1) {
      store.commit((tx) => setKey(tx, value(`tree/${round}`)));
      store.commit((tx) => deleteKey(tx, `tree/${round}`));
      if (round % 500 !== 0 && round < 9_990) continue;
      const { index } = listKeys(store, "tree/");
      expect(index).to.be.at.least(last);
      last = index;
    }
    expect(store.rows("tombstone").size).to.be.at.most(10_000);
  });
});
