import { expect } from "chai";
import { checkOf, type Problem, readCheck } from "./check.ts";
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
  const told = (labels: Readonly<Record<string, string>>) => {
    const problems: Problem[] = [];
    checkOf(attributesOf(readMetadata([], labels), "80"), problems);
    return problems.map(({ label, sentence }) => `${label}: ${sentence}`);
  };

  it("are told: further checks, and the manner of a check that nobody asks for", () => {
    const http = { SERVICE_CHECK_HTTP: "/" };
    expect(told({ ...http, SERVICE_CHECK_INTERVAL: "5s", SERVICE_CHECK_GRPC: "no" })).to.deep.equal(
      [],
    );
    expect(told({ ...http, SERVICE_80_CHECK_TCP: "true" })).to.deep.equal([
      "SERVICE_80_CHECK_TCP: has no effect: a service has one check, here http",
    ]);
    expect(told({ SERVICE_CHECK_INTERVAL: "5s" })).to.deep.equal([
      "SERVICE_CHECK_INTERVAL: has no effect: no label asks for a check",
    ]);
    const [first, ...others] = told({ SERVICE_CHECK_HTTP: "bad", SERVICE_CHECK_TCP: "true" });
    expect(first).to.contain("no such check");
    expect(others).to.deep.equal([]);
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
