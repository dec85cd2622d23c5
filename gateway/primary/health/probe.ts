/**
 * One check of one server: opens a connection, sends what the type of the check asks for, and judges the
 * answer.
 */
import { connect } from "node:net";
import type { HealthCheck } from "../../model/index.ts";
import { probeGrpc } from "./grpc-probe.ts";
import { HttpAnswer } from "./http-answer.ts";
import { type Judge, MysqlGreeting, RedisAnswer, reasonOf, type Verdict } from "./judges.ts";

export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * Checks one server. Returns a function that gives up. Calls `done` once, unless that function was called
 * before.
 */
export type Probe = (
  target: ProbeTarget,
  check: HealthCheck,
  done: (verdict: Verdict) => void,
) => () => void;

export const probe: Probe = (target, check, done) => {
  if (check.type === "grpc") return probeGrpc(target, check, done);
  const judge = judgeOf(check);
  let isConnected = false;
  let isDone = false;
  const socket = connect({ host: target.host, port: target.port });
  const close = () => {
    isDone = true;
    clearTimeout(timer);
    // At once: a server that waits for more would keep a descriptor here for each check.
    socket.destroy();
  };
  const end = (verdict: Verdict) => {
    if (isDone) return;
    close();
    done(verdict);
  };
  const timer = setTimeout(() => {
    const what = isConnected ? "no whole answer" : "no connection";
    end(`${what} within ${check.timeoutMs} ms`);
  }, check.timeoutMs);
  socket.once("connect", () => {
    isConnected = true;
    const request = requestOf(check);
    if (judge === null) end(null);
    else if (request !== "") socket.write(request, "latin1");
  });
  socket.on("data", (chunk: Buffer) => {
    const verdict = isDone ? undefined : judge?.push(chunk);
    if (verdict !== undefined) end(verdict);
  });
  socket.once("end", () => {
    if (judge !== null) end(judge.end());
  });
  socket.once("error", ({ code, message }: NodeJS.ErrnoException) => end(reasonOf(code, message)));
  return close;
};

function requestOf({ type, http }: HealthCheck): string {
  if (type === "redis") return RedisAnswer.request;
  return http?.request ?? "";
}

/** `null`: a connection is enough. */
function judgeOf({ type, http }: HealthCheck): Judge | null {
  if (type === "redis") return new RedisAnswer();
  if (type === "mysql") return new MysqlGreeting();
  return type === "general" || http === null ? null : new HttpAnswer(http);
}
