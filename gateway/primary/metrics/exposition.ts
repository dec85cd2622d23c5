/** Families of metrics as a text that Prometheus reads, through prom-client. */
import { AggregatorRegistry, Registry, type RegistryContentType } from "prom-client";

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
  /** Of a histogram's series: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string;
}

/** The metrics of one name. */
export interface Family {
  /** A counter's ends in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

/** `isOpen`: as OpenMetrics, otherwise in Prometheus' own format. Families without a sample are left out. */
export async function expose(families: readonly Family[], isOpen: boolean): Promise<Exposition> {
  const metrics = families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, type, samples }) => {
      // An OpenMetrics family is named without what its counters end in; the library adds it to each.
      const family = isOpen && type === "counter" ? name.replace(/_total$/, "") : name;
      const values = samples.map(({ labels = {}, value, suffix }) => ({
        labels,
        value,
        ...(suffix === undefined ? {} : { metricName: `${name}${suffix}` }),
      }));
      return { name: family, help, type, values, aggregator: "sum" };
    });
  const registry = AggregatorRegistry.aggregate<RegistryContentType>([metrics]);
  if (isOpen) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return { contentType: registry.contentType, text: await registry.metrics() };
}

/** The series of one histogram. @param counts parallel to `bounds`, with one more for what is beyond. */
export function histogram(
  labels: Readonly<Record<string, string>>,
  bounds: readonly number[],
  counts: readonly number[],
  sum: number,
): readonly Sample[] {
  let total = 0;
  const buckets = [...bounds.map(String), "+Inf"].map((le, at) => {
    total += counts[at] ?? 0;
    return { labels: { ...labels, le }, value: total, suffix: "_bucket" };
  });
  return [
    ...buckets,
    { labels, value: sum, suffix: "_sum" },
    { labels, value: total, suffix: "_count" },
  ];
}
