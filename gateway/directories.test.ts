import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { makeDirectory } from "./directories.ts";

const codeOf = (path: string) =>
  makeDirectory(path).then(
    () => "made",
    (error: NodeJS.ErrnoException) => error.code,
  );

describe("a directory that is made", () => {
  let directory = "";

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-directories-"));
  });
  after(() => rm(directory, { recursive: true }));

  it("comes with those above it, and may be there already", async () => {
    const path = join(directory, "a", "b", "c");
    await Promise.all([makeDirectory(path, 0o700), makeDirectory(path, 0o700)]);
    await makeDirectory(path);
    expect((await stat(path)).mode & 0o777).to.equal(0o700);
  });

  it("is refused where there is no place for one, instead of tried for ever", async () => {
    expect(await codeOf("/proc/nope")).to.equal("ENOENT");
    expect(await codeOf("/proc/nope/deeper")).to.equal("ENOENT");
    const file = join(directory, "file");
    await writeFile(file, "");
    expect(await codeOf(file)).to.equal("EEXIST");
    expect(await codeOf(join(file, "below"))).to.equal("ENOTDIR");
  });
});
