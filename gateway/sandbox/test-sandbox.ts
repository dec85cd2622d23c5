/** For the tests of this room: a sandbox of sources written in the test, and one call through it. */
import type { Json, Source } from "../model/index.ts";
import { contentVersion, createSandbox, type Sandbox, type SandboxOptions } from "./index.ts";
import type { ScriptTables, Steering } from "./sandbox.ts";
import { TestExchange, type TestRequest } from "./test-exchange.ts";

export function source(text: string): Source {
  return { text, version: contentVersion(text), modifyIndex: 1 };
}

/** Tables of sources; `script` alone stands for one script at `a.example.com`. */
export function tables(
  script: string | Readonly<Record<string, string>>,
  module: Readonly<Record<string, string>> = {},
  setting: Readonly<Record<string, Json>> = {},
): ScriptTables {
  const scripts = typeof script === "string" ? { "a.example.com": script } : script;
  const sources = (texts: Readonly<Record<string, string>>) =>
    new Map(Object.entries(texts).map(([key, text]) => [key, source(text)]));
  return {
    script: sources(scripts),
    module: sources(module),
    setting: new Map(Object.entries(setting)),
  };
}

export interface Logged {
  readonly level: string;
  readonly host: string;
  readonly message: string;
}

export class Bench {
  readonly logs: Logged[] = [];
  readonly sandbox: Sandbox;

  constructor(given: ScriptTables, options: Partial<SandboxOptions> = {}) {
    this.sandbox = createSandbox({
      // Machines that run tests are busy: a good script must not fail for that.
      limits: { memoryMb: 16, callTimeoutMs: 50 },
      stallMs: 0,
      log: (level, host, _version, message) => this.logs.push({ level, host, message }),
      ...options,
    });
    this.sandbox.apply(given);
  }

  /** Sends a request through the script of its host, as a worker does. */
  request(request: TestRequest = {}): { exchange: TestExchange; steering: Steering } {
    const exchange = new TestExchange(request);
    const steering: Steering = { upstream: "", hashKey: "", headers: "" };
    const script = this.sandbox.find(exchange.host);
    if (script?.matches(exchange)) script.onRequest(exchange, steering);
    return { exchange, steering };
  }

  report(host = "a.example.com") {
    const report = this.sandbox.reports().find((each) => each.host === host);
    if (report === undefined) throw new Error(`no report of ${host}`);
    return report;
  }
}
