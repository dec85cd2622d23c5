import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  findToken,
  givenToken,
  keepToken,
  keptTokenFile,
  leaveToken,
  makeToken,
  runtimeTokenFile,
  takeTokenAway,
  tokenPlaces,
} from "./admin-token.ts";
import { SettingsError } from "./settings.ts";

const nothing = {
  tokenFile: null,
  metrics: "token" as const,
  isOpen: false,
  token: null,
  hosts: [],
  cert: null,
  key: null,
  clientCa: null,
};

async function errorOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.catch((error: unknown) => error);
  expect(outcome).to.be.instanceOf(SettingsError);
  return (outcome as SettingsError).message;
}

describe("the admin API's token", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-token-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("is made once in the data directory, for its owner alone, and nothing else is left", async () => {
    const dataDir = join(directory, "data");
    const { token, problem } = await keepToken(dataDir);
    expect(problem).to.equal(null);
    expect(Buffer.from(token, "base64url")).to.have.length(32);
    expect((await stat(keptTokenFile(dataDir))).mode & 0o777).to.equal(0o600);
    expect((await keepToken(dataDir)).token).to.equal(token);
    expect(await readdir(dataDir)).to.deep.equal(["admin-token"]);
  });

  it("is the same for all that make it at once", async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => keepToken(directory)));
    expect(new Set(made.map(({ token }) => token))).to.have.property("size", 1);
    expect(await readdir(directory)).to.deep.equal(["admin-token"]);
  });

  it("is refused when others may read it, when it is a link, and when it is none", async () => {
    await keepToken(directory);
    const path = keptTokenFile(directory);
    for (const mode of [0o640, 0o604, 0o620]) {
      await chmod(path, mode);
      expect(await errorOf(keepToken(directory))).to.match(/admin-token: others may .*chmod 600/);
      expect(await errorOf(findToken(tokenPlaces(1, directory, {})))).to.contain(path);
    }
    await rm(path);
    await writeFile(join(directory, "else"), "short", { mode: 0o600 });
    await symlink(join(directory, "else"), path);
    expect(await errorOf(keepToken(directory))).to.match(/is a link/);
    await rm(path);
    await writeFile(path, "short", { mode: 0o600 });
    const message = await errorOf(keepToken(directory));
    expect(message)
      .to.match(/is no token/)
      .and.not.include("short");
  });

  it("is made anew, with a word about it, where the data directory has no place for it", async () => {
    await writeFile(join(directory, "file"), "");
    const { token, problem } = await keepToken(join(directory, "file"));
    expect(Buffer.from(token, "base64url")).to.have.length(32);
    expect(problem).to.match(
      /^--data-dir: .*: something that is no directory is in its way \(E(EXIST|NOTDIR)\)$/,
    );
    expect((await keepToken("/proc/nope")).problem).to.contain("(ENOENT)");
  });

  it("comes from a file or from the variable, not from both, and no message repeats it", async () => {
    const file = join(directory, "given");
    await writeFile(file, "a-token-in-a-file\n");
    expect(await givenToken(nothing)).to.equal(null);
    expect(await givenToken({ ...nothing, tokenFile: file })).to.equal("a-token-in-a-file");
    const both = { ...nothing, tokenFile: file, token: "a-token-in-a-variable" };
    expect(await errorOf(givenToken(both))).to.match(/give one of them/);
    const short = await errorOf(givenToken({ ...nothing, token: "too short" }));
    expect(short)
      .to.match(/^SLUICE_ADMIN_TOKEN: is no token/)
      .and.not.include("too short");
    const missing = { ...nothing, tokenFile: join(directory, "missing") };
    expect(await errorOf(givenToken(missing))).to.match(
      /--admin-token-file: .*: there is no such file or directory \(ENOENT\)$/,
    );
  });

  it("is found by commands: in the data directory, else where a running gateway left it", async () => {
    const env = { XDG_RUNTIME_DIR: join(directory, "run"), HOME: directory };
    const path = runtimeTokenFile(1995, env);
    const token = makeToken();
    expect(await findToken(tokenPlaces(1995, null, env))).to.equal(null);
    await leaveToken(path, token);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect(await findToken(tokenPlaces(1995, null, env))).to.equal(token);
    expect(await findToken(tokenPlaces(1996, null, env))).to.equal(null);
    const { token: kept } = await keepToken(join(directory, "data"));
    expect(await findToken(tokenPlaces(1995, join(directory, "data"), env))).to.equal(kept);
    await takeTokenAway(path, makeToken());
    expect(await readFile(path, "utf8"), "another gateway's").to.equal(`${token}\n`);
    await takeTokenAway(path, token);
    expect(await findToken(tokenPlaces(1995, null, env))).to.equal(null);
    expect(runtimeTokenFile(1, { HOME: "/h" })).to.equal("/h/.local/state/sluice/admin-token-1");
  });
});
