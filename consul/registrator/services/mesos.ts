/**
 * What Mesos' Docker containerizer and Marathon tell a task by environment variables (Marathon's documentation,
 * "Task Environment Variables").
 */
import { variablesOf } from "./metadata.ts";

const ownerKeys = ["MESOS_TASK_ID", "MARATHON_APP_ID"];
/** These mean something else in a container that Mesos did not start. */
const placeKey = /^(HOST|PORTS|PORT(\d+|_.+)?)$/;

/** The app's path as a name: `team-shop` for `/team/shop`; `null`: Marathon did not start the container. */
export function appName(env: readonly string[]): string | null {
  const id = variablesOf(env).get("MARATHON_APP_ID") ?? "";
  const parts = id.split("/").filter((part) => part !== "");
  const name = parts.join("-").replaceAll(/[^A-Za-z0-9_-]/g, "-");
  return name === "" ? null : name;
}

/** By metadata key: `mesos_task_id`, `marathon_app_id`, `host`, `port`, `port0`, `port_http`, ... */
export function taskMeta(env: readonly string[]): ReadonlyMap<string, string> {
  const variables = variablesOf(env);
  if (!ownerKeys.some((key) => variables.get(key))) return new Map();
  const told = [...variables].filter(([key]) => ownerKeys.includes(key) || placeKey.test(key));
  return new Map(told.map(([key, value]) => [key.toLowerCase(), value]));
}
