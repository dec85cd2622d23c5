/** The door of the gateway's own HTTP/1.1 engine. */
import type { Engine, EngineOptions } from "./engine.ts";
import { Http1Engine } from "./http-engine.ts";

/** Makes an engine that serves HTTP/1.1 (RFC 9112) on `net` sockets. It accepts nothing before `listen`. */
export function createHttp1Engine<Context>(options: EngineOptions<Context>): Engine {
  return new Http1Engine(options);
}
