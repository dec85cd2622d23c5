/**
 * Waits until a version is in service in every worker of every gateway that is registered in Consul, and says
 * which ones do not have it. Asks the gateways' admin APIs; changes nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import type { Status } from "../primary/index.ts";
import type { RegisteredGateway } from "../registered-gateways.ts";
import type { Subject } from "../releases/index.ts";
import { address } from "../settings-values.ts";
import type { AdminClient } from "./admin-client.ts";
import { CommandError } from "./command-error.ts";

/** One that is asked. */
export type Gateway = Pick<RegisteredGateway, "name" | "admin" | "isTls">;

export interface Whereabouts {
  readonly gateway: Gateway;
  /** Whether it answered. */
  readonly isReached: boolean;
  /** Whether the wait for this gateway is over. */
  readonly isDone: boolean;
  /** False when it will never have it. */
  readonly isGood: boolean;
  /** In a few words. */
  readonly says: string;
}

const pollMs = 100;
/** When a gateway has not answered for this long, the command no longer waits for it. */
const unreachableMs = 3_000;
/** The part of a status that is read here; a gateway of another version may have other parts. */
const outline = z.looseObject({
  version: z.number(),
  workers: z.array(z.looseObject({})),
  scripts: z.array(z.looseObject({})),
  modules: z.array(z.looseObject({})),
  refused: z.array(z.looseObject({})),
});

/** What a gateway says of itself. Throws a `CommandError` when it does not answer, or not as a gateway. */
export async function statusOf(client: AdminClient, { admin, isTls }: Gateway): Promise<Status> {
  const body = await client.statusOf(address().parse(admin), isTls);
  const shown: unknown = JSON.parse(body);
  if (!outline.safeParse(shown).success) {
    throw new CommandError(`what answers at ${admin} is no gateway`);
  }
  // It may be of another version than this one, so its details are not checked.
  return shown as Status;
}

export interface Wait {
  readonly client: AdminClient;
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
  const startedMs = performance.now();
  return Promise.all(
    gateways.map(async (gateway) => {
      let answeredMs = startedMs;
      for (;;) {
        const found = await lookAt(gateway, wait);
        const nowMs = performance.now();
        if (found.isReached) answeredMs = nowMs;
        const isOver = nowMs - startedMs > wait.timeoutMs || nowMs - answeredMs > unreachableMs;
        if (found.isDone || isOver) return found;
        if (!(await wait.isWanted())) {
          const says = "somebody wrote another version";
          return { gateway, isReached: true, isDone: true, isGood: false, says };
        }
        await sleep(pollMs);
      }
    }),
  );
}

async function lookAt(gateway: Gateway, wait: Wait): Promise<Whereabouts> {
  try {
    return { gateway, isReached: true, ...judge(await statusOf(wait.client, gateway), wait) };
  } catch (error) {
    const says = error instanceof Error ? error.message : String(error);
    return { gateway, isReached: false, isDone: false, isGood: false, says };
  }
}

function judge(
  status: Status,
  { prefix, subject, version }: Wait,
): Pick<Whereabouts, "isDone" | "isGood" | "says"> {
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
