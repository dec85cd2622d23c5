/** What calls of the npm client `consul` have in common and its own types do not describe. */
import type { ConsulClient } from "./client.ts";

/** Consul answers any call but a blocking query within it, or does not answer. */
export const answerWithinMs = 5_000;

/** For every call that is no blocking query: the client's types do not know its `timeout`, though every call takes it. */
export const deadline: { readonly token?: string; readonly timeout: number } = {
  timeout: answerWithinMs,
};

/**
 * Runs all operations or none (Consul's API page "Transactions"). The client's types know operations on keys alone.
 * Rejects as the npm client does.
 */
export function transact(
  { api }: Pick<ConsulClient, "api">,
  operations: readonly object[],
): Promise<unknown> {
  const transactions = api.transaction as unknown as {
    create(operations: readonly object[], options: object): Promise<unknown>;
  };
  return transactions.create(operations, { ...deadline });
}
