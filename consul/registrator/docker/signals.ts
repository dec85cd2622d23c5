/** Which signals tell a container to stop. */
import { constants } from "node:os";

const firstRealTime = 34;
const alwaysStops = new Set([
  constants.signals.SIGTERM,
  constants.signals.SIGINT,
  constants.signals.SIGKILL,
]);

/** The number of a signal as Docker writes it (`SIGQUIT`, `QUIT`, `3`, `SIGRTMIN+3`), or `null`. */
export function signalNumber(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  const name = text.toUpperCase().replace(/^(?!SIG)/, "SIG");
  const [, offset] = /^SIGRTMIN\+(\d+)$/.exec(name) ?? [];
  if (offset !== undefined) return firstRealTime + Number(offset);
  const [, number] =
    Object.entries(constants.signals).find(([candidate]) => candidate === name) ?? [];
  return number ?? null;
}

/** The `signal` of a `kill` event ends a container whose stop signal is `stopSignal`. */
export function tellsToStop(signal: string, stopSignal: string): boolean {
  const number = signalNumber(signal);
  if (number === null) return false;
  return alwaysStops.has(number) || number === signalNumber(stopSignal);
}
