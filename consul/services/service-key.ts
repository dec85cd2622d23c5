/** The reverse of `serviceKey`. */
import { parseServiceName } from "../../gateway/model/index.ts";

export interface ServiceId {
  readonly name: string;
  /** `null`: the agent's own. */
  readonly datacenter: string | null;
}

/** What `thumb` or `thumb@dc2` means; `null` for what no request and no document can mean. */
export function splitServiceKey(key: string): ServiceId | null {
  const [name = "", datacenter, ...rest] = key.split("@");
  if (rest.length > 0 || !isLabel(name)) return null;
  if (datacenter === undefined) return { name, datacenter: null };
  return isLabel(datacenter) ? { name, datacenter } : null;
}

function isLabel(text: string): boolean {
  return !text.includes(".") && parseServiceName(text) !== null;
}
