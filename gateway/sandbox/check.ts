/**
 * Tries a script in a throw-away isolate on other threads, as the primary does before a version goes
 * live. Runs no request.
 */
import ivm from "isolated-vm";
import { faultOf, ScriptError } from "./faults.ts";
import { defaultSandboxLimits, loadTimeoutFactor } from "./limits.ts";
import { loadLater } from "./loading.ts";
import type { SandboxLimits, ScriptFault, ScriptTables } from "./sandbox.ts";

/** Whatever a script does while it is tried, it is over after this many times its time limit. */
const deadlineFactor = 10;

/**
 * Compiles, links and evaluates the script of `host` and validates its exports. Resolves to `null`
 * when it is good, else to the fault with its place. Does not reject.
 */
export async function checkScript(
  host: string,
  tables: ScriptTables,
  limits: SandboxLimits = defaultSandboxLimits,
): Promise<ScriptFault | null> {
  const key = `scripts/${host}`;
  const source = tables.script.get(host);
  if (source === undefined) return { key, line: 0, column: 0, message: "there is no such key" };
  const isolate = new ivm.Isolate({ memoryLimit: limits.memoryMb });
  const timeoutMs = limits.callTimeoutMs * loadTimeoutFactor;
  const deadlineMs = timeoutMs * deadlineFactor;
  let deadline: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    deadline = setTimeout(() => {
      const message = `did not load within ${deadlineMs} ms`;
      reject(new ScriptError({ key, line: 0, column: 0, message }));
    }, deadlineMs);
  });
  try {
    const loading = loadLater({
      isolate,
      key,
      text: source.text,
      modules: tables.module,
      settings: JSON.stringify(Object.fromEntries(tables.setting)),
      timeoutMs,
    });
    await Promise.race([loading, late]);
    return null;
  } catch (error) {
    return faultOf(key, error, timeoutMs);
  } finally {
    clearTimeout(deadline);
    if (!isolate.isDisposed) isolate.dispose();
  }
}
