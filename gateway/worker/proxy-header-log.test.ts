import { expect } from "chai";
import type { Log } from "../observability/logger.ts";
import { ProxyHeaderLog } from "./proxy-header-log.ts";

describe("connections that were refused because of a PROXY header", () => {
  it("are told at once with the last sender, then at most once a minute with how many there were", () => {
    const told: object[] = [];
    let now = 5;
    const log = { warn: (fields: object) => told.push(fields) } as unknown as Log;
    const headers = new ProxyHeaderLog(log, () => now);
    const report = (unexpected: number, missing: number, sender: string) =>
      headers.report({
        refused: { unexpected_proxy_header: unexpected, missing_proxy_header: missing },
        lastRefused: { unexpected_proxy_header: sender, missing_proxy_header: sender },
      });
    headers.report({ refused: {}, lastRefused: {} });
    expect(told).to.deep.equal([]);
    report(2, 0, "192.0.2.1");
    report(5, 1, "192.0.2.2");
    report(6, 9, "192.0.2.3");
    expect(told.splice(0)).to.deep.equal([
      { code: "unexpected_proxy_header", sender: "192.0.2.1", refused: 2 },
      { code: "missing_proxy_header", sender: "192.0.2.2", refused: 1 },
    ]);
    now += 60_000;
    report(6, 9, "192.0.2.3");
    expect(told).to.deep.equal([
      { code: "unexpected_proxy_header", sender: "192.0.2.3", refused: 4 },
      { code: "missing_proxy_header", sender: "192.0.2.3", refused: 8 },
    ]);
  });
});
