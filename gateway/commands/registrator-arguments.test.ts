import { expect } from "chai";
import { Command } from "commander";
import { parseRegistratorOptions, registratorFlags } from "../../consul/registrator/index.ts";
import { addRegistratorFlags, consulInRegistry, withGoFlags } from "./registrator-arguments.ts";

/** What the command line and the environment come to. */
function read(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  command.argument("[REGISTRY]");
  addRegistratorFlags(command, env);
  command.parse(withGoFlags(args), { from: "user" });
  return { options: parseRegistratorOptions(command.opts()), registry: command.args[0] };
}

describe("the registrator's command line", () => {
  it("names each default once in its help", () => {
    const command = new Command();
    addRegistratorFlags(command, {});
    const help = command.createHelp();
    for (const option of help.visibleOptions(command)) {
      const line = `${help.optionTerm(option)} ${help.optionDescription(option)}`;
      expect(line.match(/\bdefault\b/g) ?? [], line).to.have.lengthOf.at.most(1);
      expect(line).not.to.contain("default: false");
    }
  });

  it("takes Go's spelling of every flag: one dash or two, a value behind = or beside", () => {
    const { options, registry } = read([
      ...["-internal", "-explicit=true", "-cleanup=false", "-ip", "192.0.2.1", "-tags=a,b=c"],
      ...["-ttl", "30", "-ttl-refresh=10", "--resync=5", "-deregister", "on-success"],
      ...["-useIpFromLabel", "addr", "-retry-attempts=-1", "-retry-interval", "10"],
      "consul://localhost:8500",
    ]);
    expect(options).to.include({ internal: true, explicit: true, cleanup: false });
    expect(options).to.deep.include({ ip: "192.0.2.1", ttlSeconds: 30 });
    expect(options.tags.source).to.equal("a,b=c");
    expect(options).to.include({ ttlRefreshSeconds: 10, resyncSeconds: 5, retryAttempts: -1 });
    expect(options).to.include({ deregister: "on-success", useIpFromLabel: "addr" });
    expect(registry).to.equal("consul://localhost:8500");
  });

  it("takes a value that begins with a dash, and leaves everything after -- alone", () => {
    const { options } = read(["-tags", "-internal"]);
    expect([options.tags.source, options.internal]).to.deep.equal(["-internal", false]);
    expect(withGoFlags(["--", "-internal"])).to.deep.equal(["--", "-internal"]);
    expect(withGoFlags(["-nonsense", "-h", "-"])).to.deep.equal(["-nonsense", "-h", "-"]);
  });

  it("takes a flag before its variable, and a variable's no for a no", () => {
    const env = { SLUICE_REGISTRATOR_INTERNAL: "false", SLUICE_REGISTRATOR_RESYNC: "7" };
    expect(read([], env).options).to.include({ internal: false, resyncSeconds: 7 });
    expect(read(["-internal", "-resync", "8"], env).options).to.include({
      internal: true,
      resyncSeconds: 8,
    });
    const on = { SLUICE_REGISTRATOR_INTERNAL: "true", SLUICE_REGISTRATOR_IP: "" };
    expect(read([], on).options).to.include({ internal: true, ip: null });
    expect(read(["-internal=false"], on).options).to.include({ internal: false });
  });

  it("refuses a switch that is neither on nor off, by name", () => {
    expect(() => withGoFlags(["-internal=maybe"])).to.throw(/^--internal takes true or false/);
  });

  it("has a flag for everything that gliderlabs/registrator has", () => {
    const names = registratorFlags.map(({ flags }) => flags.split(" ")[0]);
    expect(names).to.include.members([
      ...["--ip", "--internal", "--explicit", "--useIpFromLabel", "--ttl-refresh", "--ttl"],
      ...["--tags", "--resync", "--deregister", "--retry-attempts", "--retry-interval"],
      "--cleanup",
    ]);
  });
});

describe("a registry URI", () => {
  for (const [registry, address] of [
    ["consul://localhost:8500", "localhost:8500"],
    ["consul://consul.example", "consul.example:8500"],
    ["consul://[::1]:8501/", "[::1]:8501"],
    ["consul://consul.example:80", "consul.example:80"],
    ["consul-tls://consul.example:8501", "https://consul.example:8501"],
    ["consul-tls://consul.example:443", "https://consul.example:443"],
    ["consul://", undefined],
  ] as const)
    it(`names Consul: ${registry}`, () => {
      expect(consulInRegistry(registry)).to.equal(address);
    });

  for (const [registry, says] of [
    ["etcd://127.0.0.1:4001/services", /the registry is Consul alone/],
    ["consulkv://127.0.0.1:8500/a", /the registry is Consul alone/],
    ["localhost:8500", /the registry is Consul alone/],
    ["consul-unix:///var/run/consul.sock", /Unix sockets are not supported/],
    ["consul://127.0.0.1:8500/services", /no path/],
    ["consul://a b", /consul:\/\/host:port/],
  ] as const)
    it(`is refused: ${registry}`, () => {
      expect(() => consulInRegistry(registry)).to.throw(says);
    });

  it("that is refused shows no password", () => {
    expect(() => consulInRegistry("etcd://me:secret@host")).to.throw(/^(?!.*secret)/);
  });
});
