/** The door of the gateway's own engine. */
import type { Engine, EngineOptions } from "./engine.ts";
import { HttpEngine } from "./http-engine.ts";

/** Makes an engine that serves HTTP/1.1 (RFC 9112) on `net` sockets. It accepts nothing before `listen`. */
export function createHttpEngine<Context>(options: EngineOptions<Context>): Engine {
  return new HttpEngine(options);
}
