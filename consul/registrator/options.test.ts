import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { DockerAddressError, dockerAddress } from "./docker/address.ts";
import { signalNumber, tellsToStop } from "./docker/signals.ts";
import { parseRegistratorOptions, RegistratorOptionError, registratorFlags } from "./options.ts";

describe("the registrator's options", () => {
  it("read what the flags' own defaults say, and the same without any", () => {
    const defaults = Object.fromEntries(
      registratorFlags.map(({ key, default: fallback }) => [key, fallback]),
    );
    expect(parseRegistratorOptions(defaults)).to.deep.equal(parseRegistratorOptions());
    expect(parseRegistratorOptions()).to.deep.include({
      ...{ ip: null, internal: false, explicit: false, useIpFromLabel: null },
      ...{
        resyncSeconds: 60,
        stopGraceSeconds: 120,
        deregister: "always",
        cleanup: false,
        ttlSeconds: 0,
      },
      ...{ ttlRefreshSeconds: 0, retryAttempts: -1, retryIntervalMs: 2000 },
    });
  });

  it("read texts, as argv and the environment give them", () => {
    const options = parseRegistratorOptions({
      ...{ hostname: "h", ip: "2001:db8::1", internal: "true", cleanup: "1", tags: "a,b\\,c" },
      ...{ ttl: "30", ttlRefresh: "10", retryAttempts: "3", deregister: "on-success" },
    });
    expect(options).to.deep.include({ hostname: "h", ip: "2001:db8::1", internal: true });
    expect(options).to.deep.include({ ttlSeconds: 30, retryAttempts: 3 });
    expect(options.tags.source).to.equal("a,b\\,c");
  });

  it("name a variable of the environment for each flag", () => {
    const variables = registratorFlags.map(({ env }) => env);
    expect(variables).to.include.members([
      "SLUICE_REGISTRATOR_TTL_REFRESH",
      "SLUICE_REGISTRATOR_USE_IP_FROM_LABEL",
      "SLUICE_REGISTRATOR_IP",
    ]);
    expect(new Set(variables).size).to.equal(registratorFlags.length);
  });

  const bad: readonly [Readonly<Record<string, unknown>>, RegExp][] = [
    [{ ip: "localhost" }, /^--ip takes an IP address, not "localhost"$/],
    [{ resync: "often" }, /^--resync takes a whole number of seconds .*, not "often"$/],
    [{ resync: "-1" }, /^--resync takes a whole number/],
    [{ retryInterval: "0" }, /^--retry-interval takes/],
    [{ retryAttempts: "-2" }, /^--retry-attempts takes/],
    [{ deregister: "never" }, /^--deregister takes "always" or "on-success", not "never"$/],
    [{ internal: "maybe" }, /^--internal takes true or false/],
    [{ hostname: "a b" }, /^--hostname takes/],
    [{ hostname: "a:b" }, /^--hostname takes/],
    [{ tags: "{{.Nonsense}}" }, /^--tags .*Go templates/],
    [{ useIpFromLabel: "" }, /^--useIpFromLabel takes/],
    [{ ttl: "30" }, /^--ttl and --ttl-refresh are given together/],
    [{ ttl: "10", ttlRefresh: "10" }, /^--ttl must be greater than --ttl-refresh/],
  ];
  for (const [values, says] of bad)
    it(`refuse ${JSON.stringify(values)} by the flag's name`, () => {
      expect(() => parseRegistratorOptions(values)).to.throw(RegistratorOptionError, says);
    });
});

describe("the address of the Docker Engine", () => {
  it("is the flag's, then DOCKER_HOST, then Docker's own", () => {
    const env = { DOCKER_HOST: "tcp://127.0.0.1:2375" };
    expect(dockerAddress("unix:///a.sock", env).connection).to.deep.equal({
      socketPath: "/a.sock",
      host: undefined,
    });
    expect(dockerAddress(undefined, env).connection).to.deep.equal({
      ...{ host: "127.0.0.1", port: 2375, protocol: "http" },
    });
    expect(dockerAddress(undefined, {}).text).to.equal("unix:///var/run/docker.sock");
  });

  it("is the first usual socket that is there and that root or this user has made", async () => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-sockets-"));
    const [first, second] = [join(directory, "first.sock"), join(directory, "second.sock")];
    const server = createServer().listen(second);
    try {
      await once(server, "listening");
      expect(dockerAddress(undefined, {}, [first, second]).text).to.equal(`unix://${second}`);
      writeFileSync(first, "no socket");
      expect(dockerAddress(undefined, {}, [first, second]).text).to.equal(`unix://${second}`);
      server.close();
      await once(server, "close");
      expect(dockerAddress(undefined, {}, [first, second]).text).to.equal(`unix://${first}`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("is https with DOCKER_TLS_VERIFY, and takes the files of DOCKER_CERT_PATH", () => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-certificates-"));
    try {
      for (const name of ["ca", "cert", "key"]) writeFileSync(join(directory, `${name}.pem`), name);
      const env = { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: directory };
      const { connection } = dockerAddress("tcp://[::1]", env);
      expect(connection).to.include({ host: "::1", port: 2376, protocol: "https" });
      expect(String(connection.cert)).to.equal("cert");
      const missing = { ...env, DOCKER_CERT_PATH: join(directory, "none") };
      expect(() => dockerAddress("tcp://127.0.0.1", missing)).to.throw(/^DOCKER_CERT_PATH: /);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  for (const address of ["unix://relative", "docker.sock", "ftp://a", "ssh://a", "tcp://"])
    it(`is refused by name: ${address}`, () => {
      expect(() => dockerAddress(address, {})).to.throw(DockerAddressError, /^--docker: /);
      const env = { DOCKER_HOST: address };
      expect(() => dockerAddress(undefined, env)).to.throw(DockerAddressError, /^DOCKER_HOST: /);
    });
});

describe("a signal to a container", () => {
  it("is read by number and by name", () => {
    for (const [text, number] of [
      ["15", 15],
      ["SIGQUIT", 3],
      ["quit", 3],
      ["SIGRTMIN+3", 37],
      ["SIGNONE", null],
      ["", null],
    ] as const)
      expect(signalNumber(text), text).to.equal(number);
  });

  it("tells to stop when it is TERM, INT, KILL or the container's own stop signal", () => {
    for (const signal of ["15", "2", "9"]) expect(tellsToStop(signal, ""), signal).to.equal(true);
    expect(tellsToStop("3", "")).to.equal(false);
    expect(tellsToStop("3", "SIGQUIT")).to.equal(true);
    expect(tellsToStop("1", "SIGQUIT")).to.equal(false);
    expect(tellsToStop("37", "SIGRTMIN+3")).to.equal(true);
  });
});
