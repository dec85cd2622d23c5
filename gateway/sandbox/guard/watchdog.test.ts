import { expect } from "chai";
import ivm from "isolated-vm";
import { until } from "../../../test/support/conditions.ts";
import { CallMarker } from "./call-marker.ts";
import { Watchdog } from "./watchdog.ts";

describe("the watchdog", () => {
  let marker: CallMarker;
  let watchdog: Watchdog;

  beforeEach(() => {
    marker = new CallMarker();
    watchdog = new Watchdog(marker, 8);
  });
  afterEach(() => watchdog.dispose());

  /** An isolate under guard, and a call into it. */
  function guarded(code: string) {
    const isolate = new ivm.Isolate({ memoryLimit: 8 });
    const number = marker.next();
    const call = isolate.createContextSync().evalClosureSync(`return () => { ${code} }`, [], {
      result: { reference: true },
    }) as ivm.Reference<unknown>;
    watchdog.guard(number, isolate);
    return {
      isolate,
      call: (watched = true) => {
        marker.begin(watched ? number : -number);
        if (watched) watchdog.wake();
        try {
          return call.applySync(undefined, [], watched ? {} : { timeout: 40 });
        } finally {
          marker.end();
        }
      },
    };
  }

  it("ends a call that runs too long with its isolate", () => {
    const { isolate, call } = guarded("for (;;);");
    expect(() => call()).to.throw("Isolate was disposed during execution");
    expect(isolate.isDisposed).to.equal(true);
  });

  it("leaves calls alone that return, however many there are", () => {
    watchdog.dispose();
    // A limit above what a busy machine may take from this process at a stretch.
    watchdog = new Watchdog(marker, 2_000);
    const { isolate, call } = guarded("return 'a'");
    for (let times = 0; times < 20_000; times += 1) expect(call()).to.equal("a");
    expect(isolate.isDisposed).to.equal(false);
    isolate.dispose();
  });

  it("leaves calls alone that have a timer of their own", () => {
    const { isolate, call } = guarded("for (;;);");
    expect(() => call(false)).to.throw("Script execution timed out");
    expect(isolate.isDisposed).to.equal(false);
    isolate.dispose();
  });

  it("gives a call more time while somebody is about to say how much of it was the thread's own", () => {
    watchdog.dispose();
    watchdog = new Watchdog(marker, 200);
    marker.awaitAnswers();
    const patient = guarded(
      "const until = Date.now() + 500; while (Date.now() < until); return 'a'",
    );
    expect(patient.call()).to.equal("a");
    const endless = guarded("for (;;);");
    expect(() => endless.call()).to.throw("Isolate was disposed during execution");
    patient.isolate.dispose();
  });

  it("ends when nobody calls, and is there again for the next call", async () => {
    const { call } = guarded("for (;;);");
    await until("the watchdog has ended", () => !watchdog.isWatching);
    expect(() => call()).to.throw("Isolate was disposed during execution");
  });
});
