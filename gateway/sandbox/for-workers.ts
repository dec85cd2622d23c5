/**
 * The door of the sandbox room for worker processes: without what examines sources, whose parser alone costs a
 * worker ten megabytes.
 */
import { IsolateSandbox, type SandboxOptions } from "./run/isolate-sandbox.ts";
import type { Sandbox } from "./sandbox.ts";

/** Makes a process's sandbox; it has no script before `apply`. */
export function createSandbox(options: SandboxOptions): Sandbox {
  return new IsolateSandbox(options);
}
