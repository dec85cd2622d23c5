import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { type Bench, tables, useBenches } from "../fixtures/test-sandbox.ts";
import { Journal } from "./journal.ts";

describe("what scripts log", () => {
  const bench = useBenches();

  const leftOut = (one: Bench, host: string) =>
    one.logs.filter((each) => each.host === host && /left out/.test(each.message));
  /** The most records between two reports of what was left out. */
  const longestRun = (one: Bench, wanted: (message: string) => boolean): number => {
    let longest = 0;
    let run = 0;
    for (const { message } of one.logs) {
      if (/left out/.test(message)) run = 0;
      else if (wanted(message)) run += 1;
      longest = Math.max(longest, run);
    }
    return longest;
  };

  it("is bounded by records for each host and second, and what is left out is counted", async () => {
    const one = bench(
      tables({
        "loud.example.com":
          "export default () => { for (let at = 0; at < 20; at++) log.info(at); };",
        "calm.example.com": `export default () => { log.info("here"); };`,
      }),
    );
    let sent = 0;
    await until("it is told what was left out", () => {
      for (let call = 0; call < 10; call += 1) one.request({ authority: "loud.example.com" });
      sent += 200;
      return leftOut(one, "loud.example.com").length > 0;
    });
    expect(longestRun(one, (message) => /^\d+$/.test(message))).to.be.within(1, 100);
    const [{ level, message } = { level: "", message: "" }] = leftOut(one, "loud.example.com");
    expect(level).to.equal("warn");
    const count = Number(/second: (\d+) records of \d+ characters$/.exec(message)?.[1]);
    expect(count).to.be.within(1, sent);
    one.request({ authority: "calm.example.com" });
    expect(one.logs.at(-1)).to.include({ host: "calm.example.com", message: "here" });
  });

  it("is bounded by characters", async () => {
    const text = `export default () => { for (let at = 0; at < 20; at++) log.info("x".repeat(1e3)); };`;
    const one = bench(tables(text));
    await until("it is told what was left out", () => {
      for (let call = 0; call < 10; call += 1) one.request();
      return leftOut(one, "a.example.com").length > 0;
    });
    expect(longestRun(one, (message) => message.startsWith("x"))).to.be.within(1, 32);
  });

  it("has a few records of calls that fail in a second, whoever makes them fail", async () => {
    const one = bench(tables("export default () => { null.x; };"));
    let calls = 0;
    await until("it is told what was left out", () => {
      for (let call = 0; call < 20; call += 1) one.request();
      calls += 20;
      return leftOut(one, "a.example.com").length > 0;
    });
    expect(longestRun(one, (message) => /TypeError/.test(message))).to.be.within(1, 5);
    expect(leftOut(one, "a.example.com")[0]?.message).to.match(/in a second: \d+ errors$/);
    expect(one.report()).to.include({ calls, errors: calls });
  });

  it("is bounded for all hosts together, and each has a little of its own whatever others log", () => {
    const records = new Map<string, number>();
    const journal = new Journal((level, host, _version, message) => {
      const kind = message.startsWith("left out") ? "told" : level;
      records.set(`${host} ${kind}`, (records.get(`${host} ${kind}`) ?? 0) + 1);
    }, "info");
    const hosts = Array.from({ length: 50 }, (_, at) => `loud${at}`);
    for (const host of hosts) {
      for (let at = 0; at < 100; at += 1) journal.said("info", host, "1", "x".repeat(300));
      for (let at = 0; at < 5; at += 1) journal.failed(host, "1", "broken");
    }
    journal.said("info", "calm", "1", "here");
    journal.failed("calm", "1", "broken");
    journal.close();
    const sum = (kind: string) =>
      hosts.reduce((all, host) => all + (records.get(`${host} ${kind}`) ?? 0), 0);
    expect(sum("info")).to.be.within(1_000, 1_000 + 5 * hosts.length);
    expect(sum("error")).to.equal(50 + 40);
    expect(records.get("loud49 info")).to.equal(3);
    expect(records.get("loud49 told")).to.equal(1);
    expect([records.get("calm info"), records.get("calm error")]).to.deep.equal([1, 1]);
  });

  it("tells what was left out at the end too, and leaves out what nobody reads uncounted", () => {
    const records: string[] = [];
    const journal = new Journal((level, host, version, message) => {
      records.push([level, host, version, message].join(" "));
    }, "info");
    for (let at = 0; at < 200; at += 1) journal.said("debug", "a", "1", "x");
    for (let at = 0; at < 103; at += 1) journal.said("info", "a", "2", "xy");
    for (let at = 0; at < 7; at += 1) journal.failed("a", "2", "broken");
    journal.close();
    expect(records).to.have.length(100 + 5 + 1);
    expect(records[0]).to.equal("info a 2 xy");
    expect(records.at(-1)).to.equal(
      "warn a 2 left out of the log in a second: 3 records of 6 characters, 2 errors",
    );
  });
});
