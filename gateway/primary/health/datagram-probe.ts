/** A check by one datagram: an answer with the right bytes is good, or, where none is asked for, that nobody refuses it. */
import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import type { Peer } from "../../engine/engine.ts";
import type { DatagramCheck, HealthCheck } from "../../model/index.ts";
import { reasonOf, type Verdict } from "./judges.ts";

/** As `Probe`. */
export function probeDatagram(
  { host, port }: Peer,
  { timeoutMs }: HealthCheck,
  { send, expect }: DatagramCheck,
  done: (verdict: Verdict) => void,
): () => void {
  let isDone = false;
  let hasAnswered = false;
  const socket = createSocket(isIP(host) === 6 ? "udp6" : "udp4");
  const close = () => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    socket.close();
  };
  const end = (verdict: Verdict) => {
    if (isDone) return;
    close();
    done(verdict);
  };
  const timer = setTimeout(() => {
    if (expect === null) end(null);
    else if (hasAnswered) end("its answer is another one");
    else end(`no answer within ${timeoutMs} ms`);
  }, timeoutMs);
  // It stays: what comes after the end must find somebody who takes it.
  socket.on("error", (error: NodeJS.ErrnoException) =>
    end(error.code === "ECONNREFUSED" ? "nobody listens on its port" : reasonOf(error)),
  );
  socket.on("message", (bytes) => {
    hasAnswered = true;
    if (expect === null || bytes.includes(expect, 0, "latin1")) end(null);
  });
  socket.once("connect", () => socket.send(Buffer.from(send, "latin1")));
  socket.connect(port, host);
  return close;
}
