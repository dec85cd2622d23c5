/**
 * The token of a gateway's admin API: the one that an operator gave, or one that the gateway makes and
 * keeps where only its own user can read it, so that the commands of that user find it.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, open, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { makeDirectory } from "./directories.ts";
import { codeOf, describeFileError } from "./file-errors.ts";
import { SettingsError } from "./settings.ts";
import { type AdminSettings, tokenVariable } from "./settings-admin.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const fileName = "admin-token";
/** RFC 6750 section 2.1, and long enough not to be guessed. */
const tokenForm = /^[A-Za-z0-9._~+/-]{16,512}=*$/;
const maxFileBytes = 4096;

/** The token that the settings name; `null` when they name none. Throws a `SettingsError`. */
export async function givenToken({ token, tokenFile }: AdminSettings): Promise<string | null> {
  if (token !== null && tokenFile !== null) {
    throw new SettingsError(`--admin-token-file and ${tokenVariable}: give one of them`);
  }
  if (token !== null) return checked(tokenVariable, token);
  if (tokenFile === null) return null;
  const text = await readFile(tokenFile, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new SettingsError(
      `--admin-token-file: ${tokenFile} cannot be read: ${describeFileError(error)}`,
    );
  });
  return checked(`--admin-token-file: ${tokenFile}`, text.trim());
}

export function makeToken(): string {
  return randomBytes(32).toString("base64url");
}

/** Where a gateway with this data directory keeps the token that it makes. */
export function keptTokenFile(dataDir: string): string {
  return join(dataDir, fileName);
}

/** Where a gateway leaves it for the commands of its own user while it runs. */
export function runtimeTokenFile(adminPort: number, env: Environment): string {
  const state = env.XDG_STATE_HOME || join(env.HOME || homedir(), ".local", "state");
  return join(env.XDG_RUNTIME_DIR || state, "sluice", `${fileName}-${adminPort}`);
}

/** A token that the gateway has made. */
export interface MadeToken {
  readonly token: string;
  /** Why it is not in the data directory, so that the next start makes another; `null`: it is there. */
  readonly problem: string | null;
}

/**
 * The token in the data directory, made when there is none. Two gateways that start at once get the same. A disk that is full or
 * cannot be read must not keep a gateway from its traffic. Throws a `SettingsError` for a file that others may have written.
 */
export async function keepToken(dataDir: string): Promise<MadeToken> {
  const path = keptTokenFile(dataDir);
  try {
    const kept = await readOwn(path);
    if (kept !== null) return { token: kept, problem: null };
    const token = makeToken();
    await writeOwn(path, token, link);
    return { token, problem: null };
  } catch (error) {
    // Another gateway has made it in between.
    const other = codeOf(error) === "EEXIST" ? await readOwn(path) : null;
    if (other !== null) return { token: other, problem: null };
    if (error instanceof SettingsError) throw error;
    const problem = `--data-dir: ${path} cannot be used: ${describeFileError(error)}`;
    return { token: makeToken(), problem };
  }
}

/** Replaces what is there. Rejects when there is no place for it. */
export function leaveToken(path: string, token: string): Promise<void> {
  return writeOwn(path, token, rename);
}

/** Removes it if it still is this token: another gateway may have the port by now. */
export async function takeTokenAway(path: string, token: string): Promise<void> {
  // The gateway is ending and nobody can use its token any more, so a file that stays harms nobody.
  const left = await readOwn(path).catch(() => null);
  if (left === token) await rm(path, { force: true }).catch(() => {});
}

/** Where a command looks for what a gateway of this machine has made, in this order. */
export function tokenPlaces(
  adminPort: number,
  dataDir: string | null,
  env: Environment,
): readonly string[] {
  const left = runtimeTokenFile(adminPort, env);
  return dataDir === null ? [left] : [keptTokenFile(dataDir), left];
}

/** The first that is there; `null`: nothing that this user may read. Throws a `SettingsError`. */
export async function findToken(places: readonly string[]): Promise<string | null> {
  for (const place of places) {
    const token = await readOwn(place).catch(refusedOnly);
    if (token !== null) return token;
  }
  return null;
}

/** A file that this user may not read holds nothing for it; one that others may read is refused aloud. */
function refusedOnly(error: unknown): null {
  if (error instanceof SettingsError) throw error;
  return null;
}

/** `null` when there is none. Throws a `SettingsError` for a file that is not its owner's alone. */
async function readOwn(path: string): Promise<string | null> {
  // Not through a link, which somebody else may have put there.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null;
    if (codeOf(error) === "ELOOP") throw new SettingsError(`${path}: is a link and not a token`);
    throw error;
  });
  if (file === null) return null;
  try {
    const { mode, uid, size } = await file.stat();
    const own = process.geteuid?.() ?? uid;
    if ((mode & 0o077) !== 0) {
      throw new SettingsError(
        `${path}: others may read it or write to it; chmod 600, or remove it`,
      );
    }
    if (uid !== own && own !== 0) throw new SettingsError(`${path}: belongs to another user`);
    if (size > maxFileBytes) throw new SettingsError(`${path}: is no token`);
    return checked(path, (await file.readFile("utf8")).trim());
  } finally {
    await file.close();
  }
}

/** Whole or not at all: `place` (`link` or `rename`) brings the finished file to its name. */
async function writeOwn(
  path: string,
  token: string,
  place: (from: string, to: string) => Promise<void>,
): Promise<void> {
  await makeDirectory(dirname(path), 0o700);
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${token}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

function checked(where: string, token: string): string {
  if (tokenForm.test(token)) return token;
  throw new SettingsError(
    `${where}: is no token: 16 to 512 letters, digits and characters of . _ ~ + / -`,
  );
}
