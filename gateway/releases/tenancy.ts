/**
 * Checks a snapshot against the present policy, whatever policy it was written under: leaves out what a tenant
 * may no longer use.
 */
import { foreignIn } from "../documents/index.ts";
import {
  type Served,
  type Source,
  type Tables,
  type TenantPolicy,
  Tenants,
} from "../model/index.ts";
import { closureOf, importsOf } from "../sandbox/index.ts";

/** Leaves out documents that name what belongs to another tenant. */
export function withoutForeign(
  changes: readonly Served[],
  policy: TenantPolicy | null,
): readonly Served[] {
  const find = foreignIn(policy);
  return changes.filter((change) => {
    if (change.kind === "host" && change.value !== null)
      return find("host", change.key, change.value) === null;
    if (change.kind === "upstream" && change.value !== null)
      return find("upstream", change.key, change.value) === null;
    return true;
  });
}

/**
 * Leaves out scripts that import what belongs to another tenant, so that they are examined again and refused by
 * key. Meanwhile they stay in the state and fail: without the guard everything would get through.
 */
export function withoutForeignImports(tables: Tables, policy: TenantPolicy | null): Tables {
  if (policy === null) return tables;
  const tenants = new Tenants(policy);
  const isForeign = (importer: string, source: Source | undefined) =>
    source !== undefined &&
    importsOf(source).modules.some(
      (name) => tenants.refusal(tenants.ofSource(importer), "modules", name) !== null,
    );
  const isGood = (host: string, source: Source) =>
    !isForeign(`scripts/${host}`, source) &&
    ![...closureOf([source], tables.module)].some((name) =>
      isForeign(`modules/${name}`, tables.module.get(name)),
    );
  const script = new Map([...tables.script].filter(([host, source]) => isGood(host, source)));
  return { ...tables, script };
}
