import { expect } from "chai";
import type { ScriptReport } from "../../model/index.ts";
import { Failures, SampleBudget } from "./failures.ts";

const request = (path: string, headers = "host: a") =>
  `GET\nhttp\na\n${path}\n\n\n192.0.2.1\nid\n${headers}`;

describe("the failures of a script in a worker", () => {
  it("are told with the number of each client's last error, three times", () => {
    const failures = new Failures();
    expect(failures.report(0)).to.equal(null);
    for (const [at, client] of ["a", "b", "a"].entries()) {
      failures.failed(at + 1, client, request(`/${at}`), null);
    }
    const told = failures.report(3);
    expect(told?.clients).to.deep.equal([
      ["b", 2],
      ["a", 3],
    ]);
    expect(told?.samples.map((one) => one.request)).to.deep.equal([request("/0"), request("/1")]);
    expect(failures.report(3)).to.deep.equal(told);
    expect(failures.report(3)).to.deep.equal(told);
    expect(failures.report(3)).to.equal(null);
  });

  it("keep a sample of the client that failed first and of another one, anew for each report", () => {
    const failures = new Failures();
    const paths = () => failures.report(9)?.samples.map((one) => one.request.split("\n")[3]);
    for (let at = 1; at <= 5; at += 1) failures.failed(at, "a", request(`/a${at}`), null);
    failures.failed(6, "b", request("/b6"), null);
    failures.failed(7, "c", request("/c7"), null);
    failures.failed(8, "a", request("/a8"), null);
    expect(paths()).to.deep.equal(["/a1", "/c7"]);
    failures.failed(9, "c", request("/c9"), null);
    expect(paths()).to.deep.equal(["/c9"]);
  });

  it("are bounded, however many clients there are and whatever they send", () => {
    const failures = new Failures();
    const lines = Array.from({ length: 4_000 }, (_, at) => `x-${at}: y`).join("\r\n");
    for (let at = 1; at <= 1_000; at += 1) {
      if (at >= failures.nextLook) failures.look(at, `10.0.${at >> 8}.${at & 255}`, 16);
      failures.failed(at, `10.0.${at >> 8}.${at & 255}`, request("/", lines), {
        status: 200,
        rawHeaders: lines,
      });
    }
    const callers = failures.callers();
    const { clients = [], samples = [] } = failures.report(1_000) ?? {};
    expect(clients).to.have.lengthOf(16);
    expect(callers).to.have.lengthOf(16);
    expect(samples).to.have.lengthOf(2);
    expect(JSON.stringify(samples).length).to.be.below(2 * 2 * 20_000);
    expect(samples[0]?.request).to.match(/\r\nx-\d+: y$/);
  });

  it("are told with no more samples than one report may have, those of others the next time", () => {
    const reports = Array.from({ length: 100 }, (_, at): ScriptReport => {
      const failures = new Failures();
      failures.failed(1, "a", request("/", "x: y\r\n".repeat(2_600)), null);
      const counts = { calls: 1, errors: 1, lastError: "no" };
      const failed = failures.report(1);
      if (failed === null) throw new Error("it failed");
      return { host: `h${at}`, version: "v", ...counts, failed };
    });
    const budget = new SampleBudget();
    const told = new Set<string>();
    for (let each = 0; each < 100; each += 1) {
      const within = budget.within(reports);
      expect(within).to.have.lengthOf(100);
      expect(JSON.stringify(within).length).to.be.below(1_500_000);
      for (const { host, failed } of within) {
        expect(failed?.clients).to.have.lengthOf(1);
        if (failed?.samples.length) told.add(host);
      }
    }
    expect(told.size).to.equal(100);
    expect(budget.within(reports.slice(0, 3))).to.deep.equal(reports.slice(0, 3));
  });

  it("are told with who calls, of which a busy script's calls are looked at now and then", () => {
    const failures = new Failures();
    let looks = 0;
    for (let second = 0; second < 10; second += 1) {
      for (let call = 1; call <= 10_000; call += 1) {
        const number = second * 10_000 + call;
        if (number < failures.nextLook) continue;
        looks += 1;
        failures.look(number, ["a", "b"][number % 2] ?? "", 3);
      }
      failures.report((second + 1) * 10_000);
      expect(failures.callers()).to.have.members(["a", "b"]);
    }
    expect(looks).to.be.below(2_500);
  });
});
