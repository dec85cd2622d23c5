/**
 * Waits until a version is in service in every worker of every gateway that is registered in Consul, and
 * says which has it not. Asks the gateways' admin APIs; changes nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import type { Kv, Subject } from "../life/index.ts";
import type { Status } from "../primary/index.ts";
import { address } from "../settings-values.ts";
import { askStatus } from "./admin-client.ts";

export interface Gateway {
  readonly name: string;
  /** Of its admin API, `address:port`. */
  readonly admin: string;
}

export interface Whereabouts {
  readonly gateway: Gateway;
  /** Whether the wait for this gateway is over. */
  readonly isDone: boolean;
  /** False when it will never have it. */
  readonly isGood: boolean;
  /** In a few words. */
  readonly says: string;
}

const pollMs = 100;
const registration = z.object({ name: z.string(), admin: z.string() });

/** The gateways that run now. `folder`: `sluice/gateways/`. */
export async function registeredGateways(kv: Kv, folder: string): Promise<readonly Gateway[]> {
  const gateways: Gateway[] = [];
  for (const { text } of await kv.list(folder)) {
    const parsed = registration.safeParse(JSON.parse(text));
    if (parsed.success) gateways.push(parsed.data);
  }
  return gateways;
}

/** What a gateway says of itself. Rejects when it does not answer. */
export async function statusOf({ admin }: Gateway): Promise<Status> {
  // It may be another version than this one; its shape is taken as it comes.
  return JSON.parse(await askStatus(address().parse(admin))) as Status;
}

export interface Wait {
  /** Of all keys in Consul. */
  readonly prefix: string;
  readonly subject: Subject;
  /** `null`: it is to be gone. */
  readonly version: string | null;
  readonly timeoutMs: number;
  /** Whether Consul still has that version, so that it is worth to wait. */
  readonly isWanted: () => Promise<boolean>;
}

/** Asks each gateway again and again until all are done or the time is over. */
export async function everywhere(
  gateways: readonly Gateway[],
  wait: Wait,
): Promise<readonly Whereabouts[]> {
  const deadline = performance.now() + wait.timeoutMs;
  return Promise.all(
    gateways.map(async (gateway) => {
      for (;;) {
        const found = await lookAt(gateway, wait);
        if (found.isDone || performance.now() > deadline) return found;
        if (!(await wait.isWanted())) {
          return { gateway, isDone: true, isGood: false, says: "somebody wrote another version" };
        }
        await sleep(pollMs);
      }
    }),
  );
}

async function lookAt(gateway: Gateway, wait: Wait): Promise<Whereabouts> {
  try {
    return { gateway, ...judge(await statusOf(gateway), wait) };
  } catch (error) {
    const says = error instanceof Error ? error.message : String(error);
    return { gateway, isDone: false, isGood: false, says };
  }
}

function judge(status: Status, { prefix, subject, version }: Wait): Omit<Whereabouts, "gateway"> {
  const refusal = status.refused.find(
    (one) => one.key === prefix + subject && "version" in one && one.version === version,
  );
  if (refusal !== undefined) {
    return { isDone: true, isGood: false, says: `refused: ${refusal.error}` };
  }
  const place = placeOf(status, subject, version);
  if (place === null) return { isDone: false, isGood: false, says: "does not have it yet" };
  const behind = status.workers.filter((worker) => (worker.version ?? -1) < status.version);
  const pids = behind.map(({ pid }) => pid).join(", ");
  const says =
    behind.length === 0
      ? `${place} in ${status.workers.length} workers`
      : `${place}, but not yet in the workers ${pids}`;
  const isDone = behind.length === 0 && status.workers.length > 0;
  return { isDone, isGood: isDone && !badPlaces.has(place), says };
}

const badPlaces: ReadonlySet<string> = new Set(["taken back", "out of service"]);

/** How a gateway has it; `null` when it does not. */
function placeOf(status: Status, subject: Subject, version: string | null): string | null {
  const name = subject.slice(subject.indexOf("/") + 1);
  if (subject.startsWith("modules/")) {
    const module = status.modules.find((one) => one.name === name);
    if ((module?.version ?? null) !== version) return null;
    return version === null ? "gone" : "live";
  }
  const script = status.scripts.find((one) => one.host === name);
  if (version === null) return script === undefined ? "gone" : null;
  if (script === undefined || script.life.accepted !== version) return null;
  const { life, trial } = script;
  if (script.version === version && script.outOfService !== null) return "out of service";
  if (life.takenBack.some((one) => one.version === version)) return "taken back";
  if (life.closedUntil !== null) return `waiting until ${life.closedUntil}`;
  if (trial?.version === version) return `live for ${life.rollout?.percent ?? 0} %`;
  return script.version === version ? "live" : null;
}
