/**
 * The answer to a write of a document, given once every worker of this gateway has it; after a while it names
 * those that do not.
 */
import type { FastifyReply } from "fastify";
import * as z from "zod";
import { checkDocument } from "../../documents/index.ts";
import type { Subject } from "../../releases/index.ts";
import type { Delivered, Delivery } from "../delivery.ts";
import type { LocalChanges } from "../local-changes.ts";

const defaultWaitSeconds = 4;

export const writeQuery = z.strictObject({
  scope: z
    .literal("local", { error: "is not local" })
    .optional()
    .describe("This gateway alone, until it ends."),
  wait: z
    .string()
    .regex(/^\d{1,2}(?:\.\d{1,3})?$/, { error: "is not 0 to 99 seconds" })
    .default(String(defaultWaitSeconds))
    .transform(Number)
    .describe("Seconds that the answer may wait for the workers."),
});

/** Of routes that write to Consul only. */
export const waitQuery = writeQuery.omit({ scope: true });

export type WriteQuery = z.output<typeof writeQuery>;
export type WaitQuery = z.output<typeof waitQuery>;

/** @throws DocumentError */
export function writeQueryOf(query: unknown): WriteQuery {
  return checkDocument("the query", query, writeQuery);
}

/** @throws DocumentError */
export function waitQueryOf(query: unknown): WaitQuery {
  return checkDocument("the query", query, waitQuery);
}

export class Arrivals {
  readonly #delivery: Pick<Delivery, "arrived" | "everywhere">;
  readonly #local: Pick<LocalChanges, "takeBack">;

  constructor(
    delivery: Pick<Delivery, "arrived" | "everywhere">,
    local: Pick<LocalChanges, "takeBack">,
  ) {
    this.#delivery = delivery;
    this.#local = local;
  }

  /**
   * After a write to Consul for all gateways. It means this one, too, so a local change ends.
   * @param more what the answer says beside.
   */
  async of(subject: Subject, reply: FastifyReply, { wait }: WaitQuery, more: object = {}) {
    this.#local.takeBack(subject);
    return say(reply, await this.#delivery.arrived(subject, wait * 1000), more);
  }

  /** After a change that holds here alone. */
  async here(reply: FastifyReply, { wait }: WaitQuery, more: object = {}) {
    return say(reply, await this.#delivery.everywhere(wait * 1000), more);
  }
}

function say(reply: FastifyReply, { isSeen, behind }: Delivered, more: object): FastifyReply {
  if (isSeen && behind.length === 0) return reply.send({ status: 200, ...more });
  const who = behind.map(({ worker, pid }) => `worker ${worker} (pid ${pid})`).join(", ");
  const msg = isSeen
    ? `it is written, and these do not have it yet: ${who}`
    : "it is written, and this gateway has not seen it in Consul yet";
  return reply.code(202).send({ status: 202, msg, ...more, behind });
}
