/** The engine that a worker serves with, by its name in the settings. */
import { createRequire } from "node:module";
import type { Engine, EngineOptions } from "../engine/engine.ts";
import { createHttpEngine } from "../engine/index.ts";
import type { WorkerSettings } from "../model/index.ts";

const load = createRequire(import.meta.url);

export function createEngine<Context>(
  name: WorkerSettings["engine"],
  options: EngineOptions<Context>,
): Engine {
  if (name === "http1") return createHttpEngine(options);
  // Loaded only when it is chosen, so that no other worker has to carry it.
  const reference = load(
    "../engine/reference/index.ts",
  ) as typeof import("../engine/reference/index.ts");
  return reference.createReferenceEngine(options);
}
