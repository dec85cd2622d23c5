/**
 * What an exchange knows of a gRPC call: until when its client waits, and how the peer says that it went. For every
 * other request all of this costs a few comparisons.
 */
import { grpcTimeout, grpcTimeoutMs, httpStatusOfCall, isGrpc } from "../message/grpc.ts";
import type { RequestHead } from "../message/request-head.ts";

const timeoutField = "grpc-timeout";

export class Call {
  /** Whether the request is a call. */
  isGrpc = false;
  /** By when the call has to be over, on the engine's clock; 0: it has no deadline. */
  deadline = 0;
  #startedAtMs = 0;

  begin(head: RequestHead, startedAtMs: number): void {
    // gRPC demands `TE: trailers` of every call, so no other request's fields are searched.
    // What asks for another protocol is no call, whatever it says.
    this.isGrpc =
      head.takesTrailers && head.upgrade === "" && isGrpc(head.fields.get("content-type"));
    if (!this.isGrpc) return;
    this.#startedAtMs = startedAtMs;
    this.readTimeout(head);
  }

  /** Reads the deadline from the head as it is now. Returns false for a malformed one; then the call has none. */
  readTimeout(head: RequestHead): boolean {
    this.deadline = 0;
    const value = head.fields.get(timeoutField);
    if (value === undefined) return true;
    const timeoutMs = grpcTimeoutMs(value);
    if (timeoutMs === null) return false;
    this.deadline = this.#startedAtMs + timeoutMs;
    return true;
  }

  isLate(nowMs: number): boolean {
    return this.deadline !== 0 && nowMs >= this.deadline;
  }

  /** Puts the time that is left into the head, if any has passed. */
  passOn(head: RequestHead, nowMs: number): void {
    if (nowMs - this.#startedAtMs < 1) return;
    head.fields.set(timeoutField, grpcTimeout(this.deadline - nowMs));
  }

  /** The status by which a peer is judged that answered `status` and these field lines. */
  judged(status: number, lines: string): number {
    return this.isGrpc && status === 200 ? httpStatusOfCall(lines) : status;
  }

  end(): void {
    this.isGrpc = false;
    this.deadline = 0;
  }
}
