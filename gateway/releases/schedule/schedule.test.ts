import { expect } from "chai";
import { getTasks } from "node-cron";
import type { Schedule } from "../../sandbox/index.ts";
import { scheduleFault, windowAt } from "./schedule.ts";

const night: Schedule = { from: "0 2 * * *", to: "0 4 * * *", timezone: "Asia/Shanghai" };
const at = (schedule: Schedule, time: string) => {
  const { isOpen, until } = windowAt(schedule, Date.parse(time));
  return `${isOpen ? "open" : "closed"} until ${new Date(until).toISOString().slice(0, 16)}`;
};

describe("the window of a schedule", () => {
  it("opens and closes at the minutes that it names, in its time zone", () => {
    expect(at(night, "2026-11-20T17:59:59.999Z")).to.equal("closed until 2026-11-20T18:00");
    expect(at(night, "2026-11-20T18:00:00Z")).to.equal("open until 2026-11-20T20:00");
    expect(at(night, "2026-11-20T19:59:59Z")).to.equal("open until 2026-11-20T20:00");
    expect(at(night, "2026-11-20T20:00:00Z")).to.equal("closed until 2026-11-21T18:00");
  });

  it("is closed when what closes it comes more often than what opens it", () => {
    const mondays = { from: "0 2 * * 1", to: "0 4 * * *", timezone: null };
    expect(at(mondays, "2026-11-18T03:00:00Z")).to.equal("closed until 2026-11-23T02:00");
    expect(at(mondays, "2026-11-23T03:00:00Z")).to.equal("open until 2026-11-23T04:00");
  });

  it("stays open over days, and follows the clocks of its time zone", () => {
    const week = { from: "30 9 * * 1", to: "0 17 * * 5", timezone: "America/New_York" };
    expect(at(week, "2026-03-04T12:00:00Z")).to.equal("open until 2026-03-06T22:00");
    expect(at(week, "2026-03-11T12:00:00Z"), "summer time").to.equal("open until 2026-03-13T21:00");
    expect(at(week, "2026-03-07T12:00:00Z")).to.equal("closed until 2026-03-09T13:30");
  });

  it("stays closed in a minute that opens and closes", () => {
    const same = { from: "0 2 * * *", to: "0 2,4 * * *", timezone: null };
    expect(at(same, "2026-11-20T02:30:00Z")).to.contain("closed");
  });

  it("leaves nothing with the library that reads the expressions", () => {
    const before = getTasks().size;
    windowAt(night, Date.now());
    expect(getTasks().size).to.equal(before);
  });

  const wrong: readonly (readonly [Partial<Schedule>, RegExp])[] = [
    [{ from: "0 25 * * *" }, /^schedule\.from: 25 /],
    [{ to: "soon soon * * *" }, /^schedule\.to: /],
    [{ to: "0 2 * * *" }, /^schedule: from and to are the same/],
    [{ timezone: "Mars/Olympus" }, /^schedule\.timezone: there is no time zone "Mars\/Olympus"$/],
  ];
  for (const [changes, message] of wrong) {
    it(`is refused: ${JSON.stringify(changes)}`, () => {
      expect(scheduleFault({ ...night, ...changes })).to.match(message);
    });
  }

  const never: readonly (readonly [Partial<Schedule>, RegExp])[] = [
    [{ from: "* * 31 2 *" }, /^schedule\.from: 31 2 is an impossible/],
    [{ to: "0 0 30 2 *" }, /^schedule\.to: 30 2 is an impossible/],
    [{ from: "0 0 31 * 1#1" }, /^schedule\.from: there is no such day$/],
    [
      { from: "30 2 8-14 3 0", timezone: "America/New_York" },
      /^schedule\.from: there is no such time in America\/New_York$/,
    ],
    [{ from: "* * 29 2 *", to: "*/1 * 29 2 *" }, /^schedule: to names every moment that from does/],
    [{ from: "0 2 * * 1", to: "*/5 * * * *" }, /^schedule: to names every moment that from does/],
    [{ from: "0-99999999 * * * *" }, /^schedule\.from: no field has numbers of three digits$/],
    [{ to: "0,".repeat(200) }, /^schedule\.to: is above 256 characters$/],
  ];
  for (const [changes, message] of never) {
    it(`is refused when it never comes: ${JSON.stringify(changes).slice(0, 80)}`, () => {
      expect(scheduleFault({ ...night, ...changes })).to.match(message);
    });
  }

  it("finds days that come once in four years, or in forty", () => {
    const leap = { from: "0 0 29 2 *", to: "0 0 1 3 *", timezone: null };
    expect(scheduleFault(leap)).to.equal(null);
    expect(at(leap, "2026-11-20T00:00:00Z")).to.equal("closed until 2028-02-29T00:00");
    expect(at(leap, "2028-02-29T12:00:00Z")).to.equal("open until 2028-03-01T00:00");
    expect(at(leap, "2097-01-01T00:00:00Z")).to.equal("closed until 2104-02-29T00:00");
    const mondays = { ...leap, from: "0 0 29 2 1" };
    expect(scheduleFault(mondays)).to.equal(null);
    expect(at(mondays, "2026-11-20T00:00:00Z")).to.equal("closed until 2044-02-29T00:00");
    expect(at(mondays, "2072-03-01T00:00:00Z")).to.equal("closed until 2112-02-29T00:00");
  });

  it("costs no more for a moment that is far away than for one that is near", () => {
    const medianMs = (schedule: Schedule) => {
      const times = Array.from({ length: 31 }, () => {
        const begin = performance.now();
        scheduleFault(schedule);
        windowAt(schedule, Date.parse("2025-03-01T00:00:00Z"));
        return performance.now() - begin;
      });
      return times.sort((a, b) => a - b)[15] ?? 0;
    };
    const near = medianMs(night);
    // By minutes these would be two million times as far as the next minute.
    const far = medianMs({ from: "* * 29 2 *", to: "*/2 * 29 2 *", timezone: night.timezone });
    expect(far).to.be.below(1_000 * near);
  });

  it("is not refused when it is good", () => {
    expect(scheduleFault(night)).to.equal(null);
    expect(scheduleFault({ ...night, timezone: null })).to.equal(null);
  });
});
