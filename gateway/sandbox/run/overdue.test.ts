import { expect } from "chai";
import { tables, useBenches } from "../fixtures/test-sandbox.ts";

describe("a script", () => {
  const bench = useBenches();

  it("that runs out of time is not tried again when the time was its own", () => {
    const text = `let times = 0;
      export default (request) => {
        times++;
        if (request.path === "/loop") for (;;);
        return respond({ body: String(times) });
      };`;
    const limits = { memoryMb: 16, callTimeoutMs: 400 };
    // As if nothing else had the processor meanwhile.
    const one = bench(tables(text), { limits, processorMs: () => performance.now() });
    const body = (path: string) => one.request({ path }).exchange.answered?.body;
    expect(body("/count")).to.equal("1");
    expect(body("/loop")).to.equal(undefined);
    expect(body("/count"), "in an isolate that nothing was tried in").to.equal("1");
    expect(one.report()).to.include({ calls: 3, errors: 1 });
  });

  it("that runs out of time on a busy machine is tried once more", () => {
    const text = `let times = 0;
      export default (request) => {
        times++;
        if (request.path === "/loop") for (;;);
        if (request.path === "/late" && times % 2 === 1) for (;;);
        return respond({ body: String(times) });
      };`;
    // Long enough that a busy machine does not end a call that only counts.
    const limits = { memoryMb: 16, callTimeoutMs: 400 };
    // As if something else had the processor meanwhile, and nobody counted it.
    const one = bench(tables(text), { limits, processorMs: () => 0 });
    const body = (path: string) => one.request({ path }).exchange.answered?.body;
    expect(body("/count")).to.equal("1");
    expect(body("/loop"), "two tries, each of which costs an isolate").to.equal(undefined);
    expect(body("/count")).to.equal("1");
    expect(body("/count")).to.equal("2");
    expect(body("/late"), "the first try had a timer, which spares the isolate").to.equal("4");
    expect(one.report()).to.include({ calls: 5, errors: 1 });
  });

  it("that fails again and again for want of time says where it was", () => {
    const text = `export default () => {
      for (;;);
    };`;
    const limits = { memoryMb: 16, callTimeoutMs: 400 };
    const one = bench(tables(text), { limits, processorMs: () => performance.now() });
    for (let at = 0; at < 2; at += 1) one.request();
    expect(one.report().lastError).to.match(
      /^scripts\/a\.example\.com:2:\d+: ran longer than 400 ms$/,
    );
  });

  it("is loaded once more when that took long because the machine is busy", () => {
    // Loading may take a second; this one ends in the second try.
    const text = `while (Date.now() < ${Date.now() + 1_300}); export default () => deny(403);`;
    const limits = { memoryMb: 16, callTimeoutMs: 100 };
    // As if it had hardly had the processor.
    const one = bench(tables(text), { limits, processorMs: () => 0 });
    expect(one.request().exchange.status).to.equal(403);
  });
});
