/** The door of the reference engine: the engine's contract on the library http-proxy-3 and `node:http`. */
import type { Engine, EngineOptions } from "../engine.ts";
import { ReferenceEngine } from "./reference.ts";

/**
 * Makes an engine whose HTTP is `node:http`'s and whose forwarding is http-proxy-3's, for comparison
 * with the gateway's own. It accepts nothing before `listen`.
 */
export function createReferenceEngine<Context>(options: EngineOptions<Context>): Engine {
  return new ReferenceEngine(options);
}
