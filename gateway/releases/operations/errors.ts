/** Why something that an operator asks for cannot be done, in one line. */
import type { ScriptFault } from "../../sandbox/index.ts";

/** A source does not pass its checks. */
export class SourceRefused extends Error {
  override readonly name = "SourceRefused";
  readonly fault: ScriptFault;

  constructor(fault: ScriptFault) {
    const { key, line, column, message } = fault;
    super(line === 0 ? `${key}: ${message}` : `${key}:${line}:${column}: ${message}`);
    this.fault = fault;
  }
}

/** There is no such script, module or version. */
export class SourceMissing extends Error {
  override readonly name = "SourceMissing";
}
