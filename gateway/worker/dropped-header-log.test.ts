import { expect } from "chai";
import type { Log } from "../observability/logger.ts";
import { DroppedHeaderLog } from "./dropped-header-log.ts";

describe("headers that were dropped", () => {
  it("are told at once, then at most once a minute with how many there were, and only when there were", () => {
    const told: unknown[] = [];
    let now = 5;
    const log = { warn: (fields: object) => told.push(fields) } as unknown as Log;
    const dropped = new DroppedHeaderLog(log, () => now);
    dropped.report(0);
    expect(told).to.deep.equal([]);
    dropped.report(3);
    dropped.report(4);
    now += 59_999;
    dropped.report(10);
    expect(told).to.deep.equal([{ dropped: 3 }]);
    now += 1;
    dropped.report(10);
    now += 60_000;
    dropped.report(10);
    expect(told).to.deep.equal([{ dropped: 3 }, { dropped: 7 }]);
  });
});
