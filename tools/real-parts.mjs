// Installs on Debian what the tests with real parts need: for a real Docker Engine the engine, the static busybox
// that their image is made of, and what dockerd calls; and Prometheus. Plain JavaScript for any Node from 20 on.
// Quick and silent when all is there. It fetches no Consul: tools/consul.mjs does.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Debian package -> a file of it. The busybox of Debian's other package needs libraries. */
const parts = {
  "docker.io": ["/usr/sbin/dockerd"],
  "busybox-static": ["/usr/share/doc/busybox-static"],
  iptables: ["/usr/sbin/iptables", "/sbin/iptables"],
  prometheus: ["/usr/bin/prometheus"],
  iproute2: ["/usr/sbin/ip", "/sbin/ip", "/bin/ip", "/usr/bin/ip"],
};

function missingParts() {
  return Object.entries(parts)
    .filter(([, files]) => !files.some((file) => existsSync(file)))
    .map(([name]) => name);
}

function fail(message) {
  throw new Error(message);
}

function apt(...args) {
  const result = spawnSync("apt-get", args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (result.error) fail(`"apt-get ${args.join(" ")}": ${result.error.message}`);
  return result.status === 0;
}

function install(missing) {
  const wanted = missing.join(" ");
  if (!existsSync("/usr/bin/apt-get"))
    fail(`the tests with real parts need ${wanted}; there is no apt-get here to install them`);
  if (process.getuid?.() !== 0) fail(`installing ${wanted} needs root`);
  console.error(`sluice: installing ${wanted}`);
  const command = ["install", "--yes", "--quiet", "--no-install-recommends", ...missing];
  if (!apt(...command)) {
    // The package lists may be missing or too old.
    apt("update", "--quiet");
    if (!apt(...command)) fail(`apt-get could not install ${wanted}`);
  }
  const still = missingParts();
  if (still.length > 0)
    fail(`apt-get says it installed ${still.join(" ")}, but the files are not there`);
}

try {
  const missing = missingParts();
  if (missing.length > 0) install(missing);
} catch (error) {
  console.error(`sluice: ${error.message}`);
  process.exitCode = 1;
}
