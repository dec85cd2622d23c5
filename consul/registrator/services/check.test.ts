import { expect } from "chai";
import {
  asLine,
  checkOf,
  type FallbackCheck,
  LabelUse,
  type Problem,
  readCheck,
  type ServiceCheck,
} from "./check.ts";
import { attributesOf, readMetadata, splitTags } from "./metadata.ts";

function check(labels: Readonly<Record<string, string>>) {
  const problems: Problem[] = [];
  const found = readCheck(attributesOf(readMetadata([], labels), "80"), problems);
  return { found, problems: problems.map(({ label, sentence }) => `${label}: ${sentence}`) };
}

describe("the health check of labels", () => {
  it("is none without a label for it", () => {
    expect(check({ SERVICE_CHECK_INTERVAL: "5s" }).found).to.equal(null);
  });

  it("is HTTP with its path, method, interval, timeout and first status", () => {
    const { found, problems } = check({
      ...{ SERVICE_80_CHECK_HTTP: "/health?deep=1", SERVICE_80_CHECK_HTTP_METHOD: "head" },
      ...{ SERVICE_CHECK_INTERVAL: "15s", SERVICE_80_CHECK_TIMEOUT: "1500ms" },
      ...{ SERVICE_CHECK_INITIAL_STATUS: "passing", SERVICE_CHECK_DEREGISTER_AFTER: "1h30m" },
    });
    expect(problems).to.deep.equal([]);
    expect(found).to.deep.equal({
      ...{ kind: "http", scheme: "http", path: "/health?deep=1", method: "HEAD" },
      ...{ interval: "15s", timeout: "1500ms", status: "passing", deregisterAfter: "1h30m" },
    });
  });

  it("is HTTPS, TCP, gRPC or TTL", () => {
    expect(check({ SERVICE_CHECK_HTTPS: "/" }).found).to.include({ kind: "http", scheme: "https" });
    expect(check({ SERVICE_CHECK_TCP: "true" }).found).to.include({ kind: "tcp", interval: "10s" });
    expect(check({ SERVICE_CHECK_TCP: "false" }).found).to.equal(null);
    expect(check({ SERVICE_CHECK_TTL: "30s" }).found).to.include({ kind: "ttl", ttl: "30s" });
    const grpc = check({ SERVICE_CHECK_GRPC: "true", SERVICE_CHECK_GRPC_USE_TLS: "true" }).found;
    expect(grpc).to.include({ kind: "grpc", tls: true, skipVerify: false });
  });

  for (const label of ["SERVICE_CHECK_SCRIPT", "SERVICE_80_CHECK_CMD"])
    it(`is refused when it would run a command: ${label}`, () => {
      const { found, problems } = check({ [label]: "curl example.com" });
      expect(found).to.equal(null);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(new RegExp(`^${label}: would run a command`));
    });

  const bad: readonly [string, Readonly<Record<string, string>>, RegExp, string | null][] = [
    [
      "interval",
      { SERVICE_CHECK_INTERVAL: "10" },
      /^SERVICE_CHECK_INTERVAL: .*"10"; 10s is/,
      "http",
    ],
    ["interval of nothing", { SERVICE_CHECK_INTERVAL: "0s" }, /^SERVICE_CHECK_INTERVAL/, "http"],
    ["timeout", { SERVICE_CHECK_TIMEOUT: "soon" }, /^SERVICE_CHECK_TIMEOUT: .*10s is used/, "http"],
    ["status", { SERVICE_CHECK_INITIAL_STATUS: "fine" }, /^SERVICE_CHECK_INITIAL_STATUS/, "http"],
    ["writing method", { SERVICE_CHECK_HTTP_METHOD: "put" }, /takes GET or HEAD; GET is/, "http"],
    ["method", { SERVICE_CHECK_HTTP_METHOD: "G T" }, /^SERVICE_CHECK_HTTP_METHOD/, "http"],
    ["time to deregister", { SERVICE_CHECK_DEREGISTER_AFTER: "-1s" }, /left out$/, "http"],
    ["path", { SERVICE_CHECK_HTTP: "health" }, /^SERVICE_CHECK_HTTP: .*"health"; no such/, null],
    ["TTL", { SERVICE_CHECK_HTTP: "", SERVICE_CHECK_TTL: "x" }, /^SERVICE_CHECK_TTL/, null],
  ];
  for (const [what, labels, says, kind] of bad)
    it(`gives one line for a bad ${what} and goes on with the rest`, () => {
      const { found, problems } = check({ SERVICE_CHECK_HTTP: "/", ...labels });
      expect(found?.kind ?? null).to.equal(kind);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(says);
    });
});

describe("labels of checks without effect", () => {
  const told = (labels: Readonly<Record<string, string>>, ports: readonly string[] = ["80"]) => {
    const problems: Problem[] = [];
    const use = new LabelUse();
    for (const port of ports)
      checkOf(attributesOf(readMetadata([], labels), port), null, problems, use);
    return [...problems, ...use.problems()].map(asLine);
  };

  it("are told: further checks, and the manner of a check that nobody asks for", () => {
    const http = { SERVICE_CHECK_HTTP: "/" };
    expect(told({ ...http, SERVICE_CHECK_INTERVAL: "5s", SERVICE_CHECK_GRPC: "no" })).to.deep.equal(
      [],
    );
    expect(told({ ...http, SERVICE_80_CHECK_TCP: "true" })).to.deep.equal([
      "SERVICE_80_CHECK_TCP: has no effect: a service has one check, here HTTP",
    ]);
    expect(told({ SERVICE_CHECK_INTERVAL: "5s" })).to.deep.equal([
      "SERVICE_CHECK_INTERVAL: has no effect: no label asks for a check",
    ]);
    const [first, ...others] = told({ SERVICE_CHECK_HTTP: "bad", SERVICE_CHECK_TCP: "true" });
    expect(first).to.contain("no such check");
    expect(others).to.deep.equal([]);
  });

  it("are told: the manner of another kind of check, unless another port of the container has it", () => {
    const labels = { SERVICE_80_CHECK_TTL: "30s", SERVICE_CHECK_INTERVAL: "5s" };
    expect(told(labels)).to.deep.equal(["SERVICE_CHECK_INTERVAL: has no effect: the check is TTL"]);
    expect(told({ ...labels, SERVICE_443_CHECK_TCP: "true" }, ["80", "443"])).to.deep.equal([]);
  });
});

describe("what a service is that no label asks a check for", () => {
  const made = (
    labels: Readonly<Record<string, string>>,
    fallback: FallbackCheck | null = null,
  ): [ServiceCheck | null, readonly string[]] => {
    const problems: Problem[] = [];
    const attributes = attributesOf(readMetadata([], labels), "80");
    return [checkOf(attributes, fallback, problems, new LabelUse()), problems.map(asLine)];
  };
  const health: FallbackCheck = {
    ...{ kind: "health", ttl: "300s" },
    health: { status: "starting", output: "" },
  };

  it("has Docker's HEALTHCHECK, with the labels' first status and time to deregister", () => {
    const labels = {
      SERVICE_CHECK_INITIAL_STATUS: "passing",
      SERVICE_CHECK_DEREGISTER_AFTER: "10m",
    };
    const [check, problems] = made(labels, health);
    expect(check).to.include({ kind: "health", status: "passing", deregisterAfter: "10m" });
    expect(problems).to.deep.equal([]);
  });

  it("has what a label asks for before Docker's HEALTHCHECK", () => {
    expect(made({ SERVICE_CHECK_TCP: "true" }, health)[0]).to.include({ kind: "tcp" });
    expect(made({ SERVICE_CHECK_TTL: "30s" }, health)[0]).to.include({ kind: "ttl" });
    expect(made({ SERVICE_CHECK_SCRIPT: "true" }, health)[0]).to.include({ kind: "refused" });
  });

  it("is critical where a label's check is one that nobody knows, also with a HEALTHCHECK", () => {
    for (const fallback of [null, health]) {
      const [check, problems] = made({ SERVICE_CHECK_HTPP: "/health" }, fallback);
      expect(check).to.include({ kind: "refused", status: "critical" });
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(/^SERVICE_CHECK_HTPP: is no check that is known/);
    }
    const [check, problems] = made({ SERVICE_CHECK_HTTP: "/", SERVICE_CHECK_HTPP: "/" });
    expect(check).to.include({ kind: "http" });
    expect(problems).to.have.length(1);
    expect(made({ SERVICE_CHECK_HTPP: "" })).to.deep.equal([null, []]);
  });
});

describe("a list of tags", () => {
  const cases: readonly [string, readonly string[]][] = [
    ["", []],
    ["one", ["one"]],
    ["one,two", ["one", "two"]],
    ["one, two ", ["one", "two"]],
    ["one\\,half,two", ["one,half", "two"]],
    ["\\,one\\,", [",one,"]],
    [",,,one,,,two,,,", ["one", "two"]],
    [",,,", []],
    [",,\\,,", [","]],
    ["one,one", ["one"]],
  ];
  for (const [list, tags] of cases)
    it(`reads ${JSON.stringify(list)}`, () => {
      expect(splitTags(list)).to.deep.equal(tags);
    });
});
