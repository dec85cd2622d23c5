/**
 * The registrations of one service with the state of their checks, for callers that want every registration and
 * not only those that can serve. Anybody may register anything, so each entry is parsed by itself, and a broken
 * one hides no other.
 *
 * Source: Consul's API page "Health", "List Service Instances for Service".
 */
import { z } from "zod";
import type { ConsulClient } from "./client.ts";
import type { Health } from "./self-registration.ts";

export interface ServiceEntry {
  readonly id: string;
  readonly node: string;
  readonly address: string;
  readonly port: number;
  readonly meta: Readonly<Record<string, string>>;
  readonly status: Health["status"];
  /** What the worst of its checks says. */
  readonly note: string;
}

const withinMs = 5_000;
const severities = ["passing", "warning", "critical"] as const;

const entry = z.object({
  Node: z.object({ Node: z.string(), Address: z.string().default("") }),
  Service: z.object({
    ID: z.string(),
    Address: z.string().default(""),
    Port: z.number().int().default(0),
    Meta: z.record(z.string(), z.string()).nullish(),
  }),
  Checks: z.array(
    z.object({
      Status: z.string(),
      Output: z.string().default(""),
      ServiceID: z.string().default(""),
    }),
  ),
});

/** Rejects with a `ConsulError`. */
export async function readServiceEntries(
  consul: ConsulClient,
  name: string,
): Promise<readonly ServiceEntry[]> {
  const { body } = await consul.read({
    path: "/health/service/{service}",
    params: { service: name },
    withinMs,
  });
  const entries: readonly unknown[] = Array.isArray(body) ? body : [];
  return entries.flatMap((one) => {
    const read = entry.safeParse(one);
    return read.success ? [entryOf(read.data)] : [];
  });
}

function entryOf({ Node, Service, Checks }: z.infer<typeof entry>): ServiceEntry {
  const severityOf = (status: string) =>
    // Maintenance, or any other status, means that it serves nobody.
    status === "passing" ? 0 : status === "warning" ? 1 : 2;
  // Of checks with the same status, the service's own comes before its node's.
  const own = Checks.toSorted((a, b) => Number(b.ServiceID !== "") - Number(a.ServiceID !== ""));
  const [worst] = own.toSorted((a, b) => severityOf(b.Status) - severityOf(a.Status));
  return {
    id: Service.ID,
    node: Node.Node,
    address: Service.Address || Node.Address,
    port: Service.Port,
    meta: Service.Meta ?? {},
    status: severities[worst === undefined ? 0 : severityOf(worst.Status)] ?? "critical",
    note: worst?.Output ?? "",
  };
}
