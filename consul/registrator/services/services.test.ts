import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type Container, readContainer } from "../docker/inspect.ts";
import { type NamedOptions, parseRegistratorOptions } from "../options.ts";
import { servicesOf } from "./services.ts";

/** What a real engine (20.10) answered for containers that were made for these tests. */
function recorded(name: string): Container {
  const path = join(import.meta.dirname, "fixtures", `${name}.json`);
  return readContainer(JSON.parse(readFileSync(path, "utf8")));
}

const plain = recorded("plain");
const published = recorded("published");

function options(flags: Readonly<Record<string, unknown>> = {}): NamedOptions {
  return { ...parseRegistratorOptions(flags), hostname: "host1", engine: "engine1" };
}

function labelled(labels: Readonly<Record<string, string>>, container = plain): Container {
  return { ...container, labels };
}

function only(container: Container, flags: Readonly<Record<string, unknown>> = {}) {
  const { services, problems } = servicesOf(container, options(flags));
  expect(services).to.have.length(1);
  const [service] = services;
  if (service === undefined) throw new Error("no service");
  return { service, problems };
}

describe("services of a container", () => {
  it("are named after the image, at the published port and the agent's address", () => {
    const { service, problems } = only(plain);
    expect(service).to.deep.equal({
      id: "host1:plain:80",
      name: "web",
      address: null,
      port: plain.ports[0]?.host?.port,
      tags: [],
      meta: {
        registrator: "host1",
        "registrator-container": plain.id.slice(0, 12),
        "registrator-engine": "engine1",
      },
      check: null,
      containerId: plain.id,
      containerName: "plain",
    });
    expect(problems).to.deep.equal([]);
  });

  it("carry the port in the name when there are several, unless a label names the port", () => {
    const { services } = servicesOf(published, options());
    expect(services.map(({ id, name }) => [id, name])).to.deep.equal([
      ["host1:shop:53:udp", "from-env-53"],
      ["host1:shop:80", "from-env-80"],
      ["host1:shop:443", "secure"],
    ]);
  });

  it("take tags and attributes from the environment and from labels, each port its own", () => {
    const { services } = servicesOf(published, options({ tags: "all,www" }));
    const [dns, web, secure] = services;
    expect(dns?.tags).to.deep.equal(["www", "all", "udp"]);
    expect(web?.tags).to.deep.equal(["www", "all"]);
    expect(web?.meta).to.include({ region: "eu" }).and.not.have.property("sni");
    expect(secure?.meta).to.include({ region: "eu", sni: "enabled" });
    expect(secure?.meta).to.not.have.any.keys("com.example.other", "name", "tags");
  });

  it("prefer a label to an environment variable, and a port's label to a general one", () => {
    const container = {
      ...plain,
      env: ["SERVICE_NAME=env", "SERVICE_80_TAGS=port-env", "SERVICE_ZONE=a=b"],
      labels: { SERVICE_NAME: "label", SERVICE_TAGS: "general" },
    };
    const { service } = only(container);
    expect(service.name).to.equal("label");
    expect(service.tags).to.deep.equal(["port-env"]);
    expect(service.meta).to.include({ zone: "a=b" });
  });

  it("exist for published ports only, or for exposed ones with --internal", () => {
    const unpublished = recorded("unpublished");
    expect(servicesOf(unpublished, options()).services).to.deep.equal([]);
    const { service } = only(unpublished, { internal: true });
    expect(service.address).to.equal(unpublished.addresses.get("bridge"));
    expect(service.port).to.equal(80);
  });

  it("exist for exposed ports on the host's network, at those ports", () => {
    const { service } = only(recorded("host-network"));
    expect([service.port, service.address]).to.deep.equal([18080, null]);
    const internal = only(recorded("host-network"), { internal: true, ip: "192.0.2.1" });
    expect(internal.service.address).to.equal("192.0.2.1");
  });

  it("take --ip, a binding's own address or the address on the container's network", () => {
    const inner = recorded("own-network");
    expect(only(inner).service.address).to.equal("127.0.0.1");
    expect(only(inner, { ip: "192.0.2.7" }).service.address).to.equal("192.0.2.7");
    const internal = only(inner, { internal: true }).service;
    expect(internal.address).to.equal(inner.addresses.get("backend"));
    expect(internal.port).to.equal(8080);
  });

  it("take the address in the label that --useIpFromLabel names", () => {
    const flags = { useIpFromLabel: "addr" };
    expect(only(recorded("own-network"), flags).service.address).to.equal("10.9.8.7");
    const { service, problems } = only(labelled({ addr: "not an address" }), flags);
    expect(service.address).to.equal(null);
    expect(problems).to.have.length(1);
    expect(problems[0]).to.match(/^addr: /);
  });

  it("of a container that shares another's network are reached at the other's address", () => {
    const sidecar: Container = {
      ...recorded("shared-network"),
      // The engine takes EXPOSE from the image only in this mode.
      ports: [{ exposed: "9100", protocol: "tcp", host: null }],
    };
    const { services } = servicesOf(sidecar, options(), published);
    expect(services.map(({ name, address, port }) => [name, address, port])).to.deep.equal([
      ["metrics", published.addresses.get("bridge"), 9100],
    ]);
  });

  it("of a container that shares the network of one on the host's are at the host's address", () => {
    const sidecar: Container = {
      ...recorded("shared-network"),
      ports: [{ exposed: "9100", protocol: "tcp", host: null }],
    };
    for (const internal of [false, true]) {
      const { services, problems } = servicesOf(
        sidecar,
        options({ internal, ip: "192.0.2.1" }),
        recorded("host-network"),
      );
      const found = services.map(({ address, port }) => [address, port]);
      expect(found).to.deep.equal([["192.0.2.1", 9100]]);
      expect(problems).to.deep.equal([]);
    }
  });

  it("of a Marathon task have the app's path for a name, and metadata of the task", () => {
    const env = [
      ...["MARATHON_APP_ID=/team/shop.web", "MESOS_TASK_ID=team_shop.1", "HOST=agent7"],
      ...["PORT=31001", "PORT0=31001", "PORT_80=31001", "PORTS=31001,31002", "PORTER=ale"],
    ];
    const { service, problems } = only({ ...plain, env });
    expect(service.name).to.equal("team-shop-web");
    expect(service.meta).to.include({
      ...{ marathon_app_id: "/team/shop.web", mesos_task_id: "team_shop.1", host: "agent7" },
      ...{ port: "31001", port0: "31001", port_80: "31001", ports: "31001,31002" },
    });
    expect(service.meta).to.not.have.property("porter");
    expect(problems).to.deep.equal([]);
    const named = only({ ...plain, env, labels: { SERVICE_NAME: "mine", SERVICE_HOST: "me" } });
    expect(named.service.name).to.equal("mine");
    expect(named.service.meta).to.include({ host: "me", port0: "31001" });
    const several = servicesOf({ ...published, env, labels: {} }, options()).services;
    expect(several.map(({ name }) => name)).to.include("team-shop-web-443");
    expect(servicesOf({ ...plain, env }, options({ explicit: true })).services).to.be.empty;
  });

  it("have no metadata of a task that Mesos did not start", () => {
    const { service } = only({ ...plain, env: ["HOST=me", "PORT=80"] });
    expect(service.name).to.equal("web");
    expect(service.meta).to.not.have.any.keys("host", "port");
  });

  it("pass Docker's HEALTHCHECK on where no label names a check, before --ttl", () => {
    const sick: Container = { ...plain, health: { status: "unhealthy", output: "no" } };
    const { service } = only(sick);
    expect(service.check).to.deep.include({ kind: "health", ttl: "300s", health: sick.health });
    expect(service.meta).to.include({ "registrator-health": "300s" });
    const refreshed = only(sick, { ttl: 30, ttlRefresh: 10 }).service;
    expect(refreshed.check).to.include({ kind: "health", ttl: "30s" });
    expect(refreshed.meta).to.not.have.property("registrator-ttl");
    expect(only(labelled({ SERVICE_CHECK_TCP: "1" }, sick)).service.check).to.include({
      kind: "tcp",
    });
  });

  it("are none with SERVICE_IGNORE, and not those of an ignored port", () => {
    expect(servicesOf(labelled({ SERVICE_IGNORE: "true" }), options()).services).to.be.empty;
    expect(servicesOf(labelled({ SERVICE_IGNORE: "false" }), options()).services).to.have.length(1);
    const ports = servicesOf(labelled({ SERVICE_80_IGNORE: "1" }, published), options()).services;
    expect(ports.map(({ id }) => id)).to.deep.equal(["host1:shop:53:udp", "host1:shop:443"]);
  });

  it("are with --explicit only those that are named", () => {
    expect(servicesOf(plain, options({ explicit: true })).services).to.be.empty;
    const named = labelled({ SERVICE_443_NAME: "secure" }, { ...published, env: [] });
    const { services } = servicesOf(named, options({ explicit: true }));
    expect(services.map(({ name }) => name)).to.deep.equal(["secure"]);
  });

  it("have the tags of --tags for each port, and none where a value does not fit", () => {
    const flags = { tags: "all,{{.Published.ExposedPort}},{{index .Env `ZONE`}}" };
    const container = labelled({ SERVICE_TAGS: "own" }, { ...published, env: ["ZONE=z1"] });
    const { services, problems } = servicesOf(container, options(flags));
    expect(services.map(({ tags }) => tags)).to.deep.equal([
      ["own", "all", "53", "z1", "udp"],
      ["own", "all", "80", "z1"],
      ["own", "all", "443", "z1"],
    ]);
    expect(problems).to.deep.equal([]);
    const unfit = only(labelled({ SERVICE_TAGS: "own" }), { tags: "{{index .Config.Env 99}}" });
    expect(unfit.service.tags).to.deep.equal(["own"]);
    expect(unfit.problems).to.have.length(1);
    expect(unfit.problems[0]).to.match(/^--tags: takes index 99 of .*; it gets no tag of these$/);
  });

  it("have the ID of SERVICE_ID", () => {
    expect(only(labelled({ SERVICE_ID: "shop-1" })).service.id).to.equal("shop-1");
  });

  it("have a TTL check with --ttl, unless they have a check of their own", () => {
    const flags = { ttl: 30, ttlRefresh: 10 };
    const { service } = only(plain, flags);
    expect(service.check).to.include({ kind: "alive", ttl: "30s" });
    expect(service.meta).to.include({ "registrator-ttl": "30s" });
    const checked = only(labelled({ SERVICE_CHECK_TCP: "true" }), flags).service;
    expect(checked.check).to.include({ kind: "tcp" });
    expect(checked.meta).to.not.have.property("registrator-ttl");
  });

  it("are critical when the check that they ask for is refused, with --ttl as well", () => {
    const asked: readonly Readonly<Record<string, string>>[] = [
      { SERVICE_CHECK_SCRIPT: "true" },
      { SERVICE_CHECK_HTTP: "health", SERVICE_CHECK_INITIAL_STATUS: "passing" },
      { SERVICE_CHECK_TTL: "soon" },
    ];
    for (const labels of asked) {
      const { service } = only(labelled(labels), { ttl: 30, ttlRefresh: 10 });
      expect(service.check).to.include({ kind: "refused", status: "critical" });
      expect(service.check)
        .to.have.property("reason")
        .that.matches(/^SERVICE_CHECK_/);
      expect(service.meta).to.include({ "registrator-refused": "check" });
      expect(service.meta).to.not.have.property("registrator-ttl");
    }
    const { service } = only(labelled({ SERVICE_CHECK_TCP: "false" }));
    expect(service.check).to.equal(null);
  });

  it("keep no method in their metadata that their check does not use", () => {
    const labels = { SERVICE_CHECK_HTTP: "/", SERVICE_CHECK_HTTP_METHOD: "PUT" };
    const { service } = only(labelled(labels));
    expect(service.check).to.include({ kind: "http", method: null });
    expect(service.meta).to.not.have.property("check_http_method");
  });

  it("take their default name from images with a registry, a tag and a digest", () => {
    const image = "registry.example:5000/team/redis:7@sha256:0123";
    expect(only({ ...plain, image }).service.name).to.equal("redis");
  });
});

describe("a label that does not fit", () => {
  const cases: readonly {
    readonly what: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly says: RegExp;
    readonly name?: string;
  }[] = [
    {
      what: "an empty name",
      labels: { SERVICE_NAME: "" },
      says: /^SERVICE_NAME: is empty; .*"web"/,
    },
    { what: "a name with a space", labels: { SERVICE_NAME: "a b" }, says: /^SERVICE_NAME: cannot/ },
    {
      what: "a name that DNS does not know",
      labels: { SERVICE_NAME: "a.b" },
      says: /^SERVICE_NAME: "a.b" cannot be asked for by Consul's DNS/,
      name: "a.b",
    },
    {
      what: "tags of commas only",
      labels: { SERVICE_TAGS: ",, ," },
      says: /^SERVICE_TAGS: .*no tag/,
    },
    { what: "no attribute", labels: { SERVICE_: "x" }, says: /^SERVICE_: names no attribute/ },
    {
      what: "a port and no attribute",
      labels: { SERVICE_80_: "x" },
      says: /^SERVICE_80_: names no/,
    },
    {
      what: "a port that is not published",
      labels: { SERVICE_8080_NAME: "x" },
      says: /^SERVICE_8080_NAME: port 8080 is not published/,
    },
    { what: "an empty ID", labels: { SERVICE_ID: "" }, says: /^SERVICE_ID: cannot be an ID/ },
    ...[".", "..", "a/b", "a\u200bb", "a\u2028b", "consul", "x".repeat(254)].map((id) => ({
      what: `the ID ${JSON.stringify(id.slice(0, 9))}`,
      labels: { SERVICE_ID: id },
      says: /^SERVICE_ID: cannot be an ID: .*; "host1:plain:80" is used$/,
    })),
    { what: "a name of dots", labels: { SERVICE_NAME: ".." }, says: /^SERVICE_NAME: cannot be/ },
    {
      what: "a bad metadata key",
      labels: { "SERVICE_A.B": "x" },
      says: /^SERVICE_A\.B: cannot be a/,
    },
    {
      what: "a reserved key",
      labels: { SERVICE_REGISTRATOR: "x" },
      says: /^SERVICE_REGISTRATOR: is a/,
    },
    { what: "Consul's own key", labels: { "SERVICE_CONSUL-X": "x" }, says: /is a reserved/ },
    {
      what: "a long value",
      labels: { SERVICE_A: "x".repeat(513) },
      says: /^SERVICE_A: .*512 bytes/,
    },
  ];
  for (const { what, labels, says, name = "web" } of cases) {
    it(`gives one line that names it and costs nothing else: ${what}`, () => {
      const { service, problems } = only(labelled({ ...labels, SERVICE_GOOD: "yes" }));
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(says);
      expect(service.name).to.equal(name);
      expect(service.id).to.equal("host1:plain:80");
      expect(service.meta).to.have.all.keys(
        ...["registrator", "registrator-container", "registrator-engine", "good"],
      );
    });
  }

  it("gives the second port its usual ID when SERVICE_ID stands for all", () => {
    const container = labelled({ SERVICE_ID: "shop-1" }, published);
    const { services, problems } = servicesOf(container, options());
    expect(services.map(({ id }) => id)).to.deep.equal([
      "shop-1",
      "host1:shop:80",
      "host1:shop:443",
    ]);
    expect(problems).to.have.length(2);
    expect(problems[0]).to.match(/^SERVICE_ID: already stands for another port/);
  });

  it("is told of once where all ports share it", () => {
    const container = labelled({ SERVICE_CHECK_TCP: "1", SERVICE_CHECK_INTERVAL: "x" }, published);
    expect(servicesOf(container, options()).problems).to.have.length(1);
  });

  it("does not count where the container is ignored as a whole", () => {
    const labels = { SERVICE_IGNORE: "true", SERVICE_8080_NAME: "x" };
    expect(servicesOf(labelled(labels), options()).problems).to.be.empty;
  });

  it("leaves metadata out beyond the 64 pairs that Consul takes", () => {
    const many = Object.fromEntries(Array.from({ length: 62 }, (_, n) => [`SERVICE_K${n}`, "v"]));
    const { service, problems } = only(labelled(many));
    expect(Object.keys(service.meta)).to.have.length(64);
    expect(problems).to.have.length(1);
    expect(problems[0]).to.match(/^SERVICE_K61: .*64/);
  });
});

describe("Docker's answer about a container", () => {
  it("is refused with the field's name when it has another form", () => {
    expect(() => readContainer({})).to.throw(/Docker's answer: Id/);
    const answer = { Id: "0".repeat(64), Name: "/x", State: { Running: "yes" } };
    expect(() => readContainer(answer)).to.throw(/State\.Running/);
  });

  it("may lack what newer engines no longer send", () => {
    const container = readContainer({
      ...{ Id: "0".repeat(64), Name: "/x", State: { Running: true } },
      ...{ Config: { Image: "web", Labels: null, Env: null }, HostConfig: {} },
      NetworkSettings: { Ports: null, Networks: { bridge: { IPAddress: "172.17.0.2" } } },
    });
    expect(container.addresses.get("bridge")).to.equal("172.17.0.2");
    expect(container.ports).to.deep.equal([]);
  });

  it("says of an exited container that it has no ports on the host", () => {
    const exited = recorded("exited");
    expect([exited.running, exited.exitCode]).to.deep.equal([false, 3]);
    expect(exited.ports.map(({ host }) => host)).to.deep.equal([null]);
  });
});
