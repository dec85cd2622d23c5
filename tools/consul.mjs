// Finds a real Consul binary, or fetches one on Debian, and prints its path on stdout. Debian 12 has no
// package `consul`; Debian 11 (bullseye) has 1.8.7, and the mirror that apt is configured with serves it
// too. Plain JavaScript for any Node from 20 on. Installs nothing on the system and leaves apt's own
// lists and cache as they are: everything lands under the project's `.cache/`.
import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const suite = "bullseye";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const cache = join(dirname(dirname(fileURLToPath(import.meta.url))), ".cache");
const unpacked = join(cache, "consul");
const binary = join(unpacked, "usr", "bin", "consul");
const apt = join(cache, "apt");

const help = `usage: node tools/consul.mjs [--trust-mirror]

Prints the path of a Consul binary: CONSUL_BIN, then PATH, then .cache/consul; fetches Debian's
package of ${suite} into .cache/consul when there is none.

  --trust-mirror  take the package although its signature cannot be checked, as when Debian's
                  keyring on this machine no longer holds a key of ${suite}. The package then is as
                  trustworthy as the connection to the mirror. Off by default.`;

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function findConsul() {
  const named = process.env.CONSUL_BIN;
  if (named) {
    if (isExecutable(named)) return named;
    fail(`CONSUL_BIN names "${named}", which is not an executable file`);
  }
  const onPath = (process.env.PATH ?? "").split(delimiter).filter((directory) => directory !== "");
  const candidates = [...onPath.map((directory) => join(directory, "consul")), binary];
  return candidates.find(isExecutable) ?? null;
}

function fail(message) {
  throw new Error(message);
}

/** Runs a program; its stdout, or an end with its own words when it fails. */
function run(what, program, args, options = {}) {
  const result = spawnSync(program, args, { encoding: "utf8", ...options });
  if (result.error) fail(`${what}: cannot run ${program}: ${result.error.message}`);
  // apt-get update ends with 0 for some signatures that it could not check, with 100 for others.
  if (/^[WE]: .*(GPG error|NO_PUBKEY|EXPKEYSIG|KEYEXPIRED|is not signed)/im.test(result.stderr)) {
    fail(
      `${what}: the keyring ${keyring} does not accept the signature; ` +
        `"node tools/consul.mjs --trust-mirror" goes on without it\n${result.stderr.trim()}`,
    );
  }
  if (result.status !== 0) {
    fail(
      `${what}: ${program} ended with ${result.status ?? result.signal}\n${result.stderr.trim()}`,
    );
  }
  return result;
}

/** The options that give apt directories of its own. No sources list: the system's. */
function privateApt(name, sourcesList) {
  const lists = join(apt, `${name}-lists`);
  const archives = join(apt, `${name}-cache`);
  mkdirSync(join(lists, "partial"), { recursive: true });
  mkdirSync(join(archives, "archives", "partial"), { recursive: true });
  const options = [
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${archives}`,
    // The user `_apt` may have no way into the checkout, for example under a home directory.
    "APT::Sandbox::User=root",
    "Acquire::Languages=none",
  ];
  if (sourcesList) {
    options.push(`Dir::Etc::SourceList=${sourcesList}`, "Dir::Etc::SourceParts=/dev/null");
  }
  return options.flatMap((option) => ["-o", option]);
}

/** The address of the main archive's mirror, as apt's own configuration has it. */
function mirrorAddress() {
  const format = ["--format", "$(REPO_URI) $(COMPONENT) $(CODENAME)", "Created-By: Packages"];
  const listTargets = (options) => {
    const { stdout } = run("reading apt's sources", "apt-get", [
      "indextargets",
      ...options,
      ...format,
    ]);
    return stdout.split("\n").map((line) => line.split(" "));
  };
  const isMain = ([address, component, codename]) =>
    /^https?:/.test(address ?? "") && component === "main" && /^[a-z]+$/.test(codename ?? "");
  // apt names the targets of lists that it has fetched; a bare machine has none yet.
  let target = listTargets([]).find(isMain);
  if (!target) {
    const options = privateApt("system");
    run("fetching the lists of apt's sources", "apt-get", ["update", "-q", ...options]);
    target = listTargets(options).find(isMain);
  }
  if (!target) fail("apt's configuration names no main archive of Debian; set CONSUL_BIN instead");
  return target[0];
}

function fetchConsul(trustMirror) {
  if (process.platform !== "linux" || !existsSync("/etc/debian_version")) {
    fail(
      "no consul found, and only Debian's package can be fetched; install Consul or set CONSUL_BIN",
    );
  }
  mkdirSync(apt, { recursive: true });
  const sourcesList = join(apt, "sources.list");
  const trust = trustMirror ? "[trusted=yes]" : `[signed-by=${keyring}]`;
  writeFileSync(sourcesList, `deb ${trust} ${mirrorAddress()} ${suite} main\n`);
  const options = privateApt(suite, sourcesList);

  run(`fetching the list of ${suite}`, "apt-get", ["update", "-q", ...options]);
  const packages = join(apt, "packages");
  rmSync(packages, { recursive: true, force: true });
  mkdirSync(packages);
  run("downloading consul", "apt-get", ["download", "-q", ...options, `consul/${suite}`], {
    cwd: packages,
  });
  const [file] = readdirSync(packages).filter((name) => name.endsWith(".deb"));
  if (!file) fail(`apt-get download left no package in ${packages}`);

  // Unpacked beside and renamed, so that what stands in .cache/consul is always whole.
  const fresh = join(cache, `consul-${process.pid}`);
  run("unpacking consul", "dpkg-deb", ["-x", join(packages, file), fresh]);
  rmSync(unpacked, { recursive: true, force: true });
  renameSync(fresh, unpacked);
  rmSync(apt, { recursive: true, force: true });
  if (!isExecutable(binary)) fail(`the package ${file} holds no ${binary}`);
  return binary;
}

function main(flags) {
  if (flags.includes("--help")) return help;
  const unknown = flags.find((flag) => flag !== "--trust-mirror");
  if (unknown !== undefined) fail(`unknown argument "${unknown}"\n${help}`);
  return findConsul() ?? fetchConsul(flags.includes("--trust-mirror"));
}

try {
  console.log(main(process.argv.slice(2)));
} catch (error) {
  console.error(`sluice: ${error.message}`);
  process.exitCode = 1;
}
