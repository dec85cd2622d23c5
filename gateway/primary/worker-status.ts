/** A worker as `/status` shows it. */
import type { Progress } from "./replication.ts";
import type { WorkerProcess, WorkerState } from "./worker-process.ts";

export interface WorkerStatus {
  readonly id: number;
  /** Which of the places, from 1 on, it fills. */
  readonly slot: number;
  readonly pid: number;
  readonly state: WorkerState;
  /** Of this boot; `null` before the first. */
  readonly version: number | null;
  readonly lagMs: number;
  readonly requests: number;
  /** Being served now. */
  readonly inFlight: number;
  /** Of clients, open now. */
  readonly connections: number;
  /** To peers, those kept for the next request included. */
  readonly peerConnections: number;
  /** TCP connections and sessions of datagrams that are passed on. */
  readonly streams: number;
  /** Header and trailer lines of requests that were dropped because of their names. */
  readonly droppedHeaders: number;
  readonly residentBytes: number;
  readonly idPrefix: string;
}

/** @param progress of the state that it serves. */
export function workerStatus(process: WorkerProcess, progress: Progress): WorkerStatus {
  const { id, slot, pid, state, idPrefix, report } = process;
  return {
    id,
    slot,
    pid,
    state,
    ...progress,
    requests: report?.requests ?? 0,
    inFlight: report?.exchanges ?? 0,
    connections: report?.clientConnections ?? 0,
    peerConnections: report?.peerConnections ?? 0,
    streams: report?.streams ?? 0,
    droppedHeaders: report?.droppedHeaders ?? 0,
    residentBytes: report?.residentBytes ?? 0,
    idPrefix,
  };
}
