/**
 * The entries from which workers make upstreams, in parts that are small enough for one question to a worker.
 */
import type { RoutedUpstream, SiteNames, Tables, UpstreamKeys } from "../model/index.ts";

export interface RoutedEntry {
  readonly kind: RoutedUpstream["kind"];
  readonly key: string;
  /** About how many peers it has, and one more. */
  readonly size: number;
}

/** About so many peers a worker looks at for one question: a millisecond or two, in which it serves nobody. */
const peersAtOnce = 1_000;

export function routedEntries(
  { upstream, service }: Pick<Tables, "upstream" | "service">,
  names: SiteNames,
): readonly RoutedEntry[] {
  const sizeOf = (key: string | null | undefined) =>
    1 + (typeof key === "string" ? (service.get(key)?.length ?? 0) : 0);
  const ofDocuments = Array.from(upstream, ([key, document]): RoutedEntry => {
    const size = sizeOf(document.service === null ? null : names.find(document.service)?.key);
    const servers = document.levels.reduce((sum, level) => sum + level.servers.length, 0);
    return { kind: "upstream", key, size: size + servers };
  });
  const ofServices = Array.from(
    service.keys(),
    (key): RoutedEntry => ({ kind: "service", key, size: sizeOf(key) }),
  );
  return [...ofDocuments, ...ofServices];
}

export function* batches(entries: readonly RoutedEntry[]): Generator<UpstreamKeys> {
  let upstreams: string[] = [];
  let services: string[] = [];
  let size = 0;
  for (const entry of entries) {
    (entry.kind === "upstream" ? upstreams : services).push(entry.key);
    size += entry.size;
    if (size < peersAtOnce) continue;
    yield { upstreams, services };
    [upstreams, services, size] = [[], [], 0];
  }
  if (size > 0) yield { upstreams, services };
}
