/** That a new kind of entry is one entry in the table of kinds and its parser: proved on a copy of the code. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { consulKinds } from "./support/consul.ts";
import { writesTo } from "./support/consul-writes.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

const entry = `
  gadget: kind<{ readonly size: number }>()({
    folder: "gadgets/",
    names: "setting",
    way: "straight",
    reach: "workers",
    saved: false,
    appliedTo: [],
  }),
`;
const parser = `
  gadget: (_key, text) => ({ size: Number(text) }),
`;

/** From Consul to a worker's tables, with what is kept on disk and what is watched. */
const probe = `
import { createConsul, ConsulSources } from "./consul/index.ts";
import { byWay } from "./gateway/model/index.ts";
import { State } from "./gateway/primary/state.ts";
import { Replica } from "./gateway/worker/replica.ts";

const state = new State({ boot: "b" });
const replica = new Replica();
replica.applySnapshot(state.snapshot());
const log = { debug() {}, info() {}, warn() {} };
const consul = createConsul({ url: process.argv[2] ?? "" }, {});
const sources = new ConsulSources({
  consul,
  prefix: "sluice/",
  log,
  emit: (observed) => {
    const delta = state.commit(byWay(observed).straight);
    if (delta !== null) replica.applyDelta(delta);
  },
});
sources.start();
await sources.whenReady();
const size: number | undefined = replica.tables.gadget.get("one")?.size;
const kinds = state.saved().changes.map(({ kind }) => kind);
const watches = sources.status().watches.map(({ name }) => name);
console.log(JSON.stringify({ size, isSaved: kinds.includes("gadget"), watches }));
await sources.stop();
consul.close();
`;

describe("a new kind of entry", function () {
  this.timeout(300_000);

  it("is an entry of the table and its parser: watched, parsed, served to workers, not kept", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-new-kind-"));
    const [kind] = consulKinds();
    if (kind === undefined) throw new Error("there is no Consul");
    const agent = await kind.start();
    try {
      for (const part of ["gateway", "consul", "plugins", "package.json"])
        await cp(join(root, part), join(folder, part), { recursive: true });
      await symlink(join(root, "node_modules"), join(folder, "node_modules"));
      await insertAfter(join(folder, "gateway/model/kinds.ts"), "export const kinds = {", entry);
      const parsers =
        "export const parsers: { readonly [K in DocumentKind]: Parser<Entries[K]> } = {";
      await insertAfter(join(folder, "gateway/documents/parsers.ts"), parsers, parser);
      await writeFile(join(folder, "probe.ts"), probe);
      const { compilerOptions } = JSON.parse(await readFile(join(root, "tsconfig.json"), "utf8"));
      const files = ["probe.ts", "gateway/cli.ts", "gateway/worker/worker.ts"];
      await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
      await writesTo(agent.url).put("gadgets/one", "7");
      const { stdout } = await run(process.execPath, [join(folder, "probe.ts"), agent.url]);
      const { watches, ...seen } = JSON.parse(stdout);
      expect(seen).to.deep.equal({ size: 7, isSaved: false });
      expect(watches).to.include("sluice/gadgets/");
      // No other place has to know the kind, or the compiler would name it.
      const tsc = join(root, "node_modules/.bin/tsc");
      const complaints = await run(tsc, ["-p", folder]).catch((error) => error);
      expect(complaints.stdout).to.equal("");
    } finally {
      await agent.stop();
      await rm(folder, { recursive: true });
    }
  });
});

async function insertAfter(file: string, line: string, text: string): Promise<void> {
  const before = await readFile(file, "utf8");
  expect(before.split(line), file).to.have.lengthOf(2);
  await writeFile(file, before.replace(line, `${line}${text}`));
}
