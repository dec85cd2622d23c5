/** The door of the room for streams: TCP, TLS passthrough and UDP from a listener to a peer. */
export type {
  Route,
  Routes,
  StreamFailure,
  StreamObserver,
  StreamRecord,
  StreamTally,
} from "./contract.ts";
export { StreamEngine } from "./stream-engine.ts";
