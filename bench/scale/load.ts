/** What goes on beside the measured changes: requests for any service, and changes of other services. */
import type { TestGateway } from "../../test/support/gateway.ts";
import type { Cluster } from "./cluster.ts";

export interface Load {
  /** Requests that did not get 200. */
  readonly failed: number;
  stop(): Promise<void>;
}

/** Requests a second over services chosen by `random`. */
export function requests(
  gateway: TestGateway,
  cluster: Cluster,
  perSecond: number,
  random: () => number,
): Load {
  let failed = 0;
  const ask = async () => {
    const host = cluster.nameOf(Math.floor(random() * cluster.shape.services));
    const { status } = await gateway.request({ host });
    if (status !== 200) failed += 1;
  };
  const stop = every(perSecond, ask);
  return {
    get failed() {
      return failed;
    },
    stop,
  };
}

/** Instances a second that come to services chosen by `random` or, every second one, go again. */
export function changes(
  cluster: Cluster,
  port: number,
  perSecond: number,
  random: () => number,
): () => Promise<void> {
  const added: { readonly id: string; readonly node: number }[] = [];
  let count = 0;
  return every(perSecond, async () => {
    count += 1;
    const oldest = count % 2 === 0 ? added.shift() : undefined;
    if (oldest !== undefined) return cluster.deregister(oldest);
    const service = cluster.nameOf(Math.floor(random() * cluster.shape.services));
    const node = Math.floor(random() * cluster.shape.nodes);
    const id = `${service}-beside-${count}`;
    added.push({ id, node });
    await cluster.register({ service, id, node, port });
  });
}

/** Calls `once` so often; what it returns resolves when the last call has ended. Rejects when one did. */
function every(perSecond: number, once: () => Promise<void>): () => Promise<void> {
  const running = new Set<Promise<void>>();
  let failure: unknown = null;
  const timer = setInterval(() => {
    const call = once()
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => running.delete(call));
    running.add(call);
  }, 1000 / perSecond);
  return async () => {
    clearInterval(timer);
    await Promise.all(running);
    if (failure !== null) throw failure;
  };
}
