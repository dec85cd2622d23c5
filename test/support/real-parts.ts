/**
 * Says once, before the first test, which real parts are not on this machine. When they are required
 * (SLUICE_REQUIRE_REAL=1), looking for them throws and no test runs.
 */

import { findPebble } from "./acme/pebble.ts";
import { whyNoNetwork } from "./cluster/network.ts";
import { findRealConsul } from "./consul.ts";
import { findDocker } from "./docker.ts";
import { findPrometheus } from "./prometheus.ts";

export function mochaGlobalSetup(): void {
  const missing: string[] = [];
  if (findRealConsul() === null)
    missing.push("a Consul binary (CONSUL_BIN, PATH or tools/consul.mjs)");
  if (findDocker() === null)
    missing.push("a Docker Engine (dockerd as root; tools/real-parts.mjs)");
  if (findPrometheus() === null) missing.push("Prometheus (PATH; tools/real-parts.mjs)");
  if (findPebble() === null) missing.push("pebble (tools/pebble.mjs, where Go is)");
  const noNetwork = whyNoNetwork();
  if (noNetwork !== null) missing.push(`a network of namespaces (${noNetwork})`);
  if (missing.length > 0) {
    console.error(`sluice: not found, so not tested against: ${missing.join("; ")}`);
  }
}
