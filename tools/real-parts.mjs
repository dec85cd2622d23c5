// Installs on Debian what the tests with a real Docker Engine need: the engine, the static busybox that
// their image is made of, and what dockerd calls. Plain JavaScript for any Node from 20 on. Quick and
// silent when all is there. It fetches no Consul: tools/consul.mjs does.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Debian package -> the program that shows that it is installed. */
const parts = {
  "docker.io": "dockerd",
  "busybox-static": "busybox",
  iptables: "iptables",
  iproute2: "ip",
  "docker-compose": "docker-compose",
};

const directories = (process.env.PATH ?? "").split(delimiter).filter((entry) => entry !== "");
directories.push("/usr/sbin", "/sbin", "/usr/bin", "/bin");

function missingParts() {
  return Object.entries(parts)
    .filter(([, program]) => !directories.some((entry) => existsSync(join(entry, program))))
    .map(([name]) => name);
}

function fail(message) {
  console.error(`sluice: ${message}`);
  process.exit(1);
}

function apt(...args) {
  const result = spawnSync("apt-get", args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (result.error) fail(`"apt-get ${args.join(" ")}": ${result.error.message}`);
  return result.status === 0;
}

const missing = missingParts();
if (missing.length > 0) {
  const wanted = missing.join(" ");
  if (!existsSync("/usr/bin/apt-get"))
    fail(`the tests with real parts need ${wanted}; there is no apt-get here to install them`);
  if (process.getuid?.() !== 0) fail(`installing ${wanted} needs root`);
  console.error(`sluice: installing ${wanted}`);
  const install = ["install", "--yes", "--quiet", "--no-install-recommends", ...missing];
  if (!apt(...install)) {
    // The package lists may be missing or too old.
    apt("update", "--quiet");
    if (!apt(...install)) fail(`apt-get could not install ${wanted}`);
  }
  const still = missingParts();
  if (still.length > 0) fail(`apt-get installed ${still.join(" ")}, but not the program in it`);
}
