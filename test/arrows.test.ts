import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import * as z from "zod";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** What each room may import from, beside itself. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  "gateway/engine": [],
  "gateway/model": ["engine"],
  "gateway/documents": ["model", "engine"],
  "gateway/balancing": ["model", "engine"],
  "gateway/sandbox": ["model", "engine"],
  "gateway/observability": ["model", "engine"],
  "gateway/sites": ["balancing", "sandbox", "model", "engine"],
  "gateway/streams": ["balancing", "model", "engine"],
  "gateway/releases": ["sites", "sandbox", "documents", "model", "engine", "observability"],
  "gateway/worker": [
    ...["sites", "streams", "balancing", "sandbox", "limits", "model", "engine"],
    ...["observability", "plugins"],
  ],
  "gateway/primary": [
    ...["releases", "sandbox", "documents", "limits", "model", "engine"],
    ...["observability", "consul", "plugins"],
  ],
  "gateway/commands": [
    ...["primary", "worker", "releases", "sandbox", "documents", "model", "engine"],
    ...["observability", "demo", "consul", "plugins"],
  ],
  "gateway/limits": ["model"],
  "gateway/demo": ["observability"],
  plugins: ["sites", "engine"],
  consul: ["documents", "model"],
};

/** Knows no wire, in whichever place of the engine's room that is. */
const exchange = "gateway/engine/exchange";
const wires = [
  "downstream",
  "downstream/http1",
  "upstream",
  "upstream/http2",
  "listening",
  "reference",
];

const nameOf = (room: string) => room.split("/").at(-1) ?? "";

const reportSchema = z.object({
  diagnostics: z.array(z.object({ location: z.object({ path: z.string() }) })),
});

/** One file for each pair of rooms, from the room itself and from a folder in it. */
interface Probe {
  readonly file: string;
  readonly isAllowed: boolean;
  readonly text: string;
}

function probe(file: string, target: string, isAllowed: boolean): Probe {
  const path = relative(dirname(file), target);
  const text = `import { it } from "${path}";\nexport const kept = it;\nexport const late = () => import("${path}");\n`;
  return { file, isAllowed, text };
}

function probes(): readonly Probe[] {
  const all: Probe[] = [];
  for (const [room, allowed] of Object.entries(arrows)) {
    for (const place of [room, `${room}/inner`]) {
      for (const other of Object.keys(arrows)) {
        if (other === room) continue;
        const name = nameOf(other);
        const isAllowed = allowed.includes(name);
        all.push(probe(`${place}/to-${name}.ts`, `${other}/index.ts`, isAllowed));
      }
      all.push(probe(`${place}/to-cli.ts`, "gateway/cli.ts", false));
    }
  }
  for (const name of wires)
    all.push(
      probe(
        `${exchange}/to-${name.replace("/", "-")}.ts`,
        `gateway/engine/${name}/index.ts`,
        false,
      ),
    );
  all.push(probe(`${exchange}/to-message.ts`, "gateway/engine/message/fields.ts", true));
  return all;
}

describe("the arrows between rooms", () => {
  it("are those that the lint rules let through, each of them", async function () {
    this.timeout(300_000);
    const folder = await mkdtemp(join(tmpdir(), "sluice-arrows-"));
    try {
      const config = JSON.parse(await readFile(join(root, "biome.json"), "utf8"));
      await writeFile(join(folder, "biome.json"), JSON.stringify({ ...config, root: true }));
      const all = probes();
      for (const { file, text } of all) {
        await mkdir(join(folder, dirname(file)), { recursive: true });
        await writeFile(join(folder, file), text);
      }
      const refused = await refusedBy(folder);
      const wrong = all
        .filter(({ file, isAllowed }) => isAllowed === refused.has(file))
        .map(({ file, isAllowed }) => `${file} ${isAllowed ? "is refused" : "is let through"}`);
      expect(wrong).to.deep.equal([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** The files in which something is imported that may not be. */
async function refusedBy(folder: string): Promise<ReadonlySet<string>> {
  const biome = join(root, "node_modules/.bin/biome");
  const args = ["lint", "--only=style/noRestrictedImports", "--max-diagnostics=none"];
  const options = { cwd: folder, maxBuffer: 64 * 1024 * 1024 };
  // It ends with an error when it finds something.
  const { stdout } = await run(biome, [...args, "--reporter=json", "."], options).catch(
    (error: { readonly stdout: string }) => error,
  );
  const { diagnostics } = z.parse(reportSchema, JSON.parse(stdout));
  // Both ways to import, each.
  const counts = new Map<string, number>();
  for (const { location } of diagnostics)
    counts.set(location.path, (counts.get(location.path) ?? 0) + 1);
  for (const [file, count] of counts) expect(count, file).to.equal(2);
  return new Set(counts.keys());
}
