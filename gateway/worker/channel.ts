/** The worker's side of the channel to the primary. */
import type { ToPrimary } from "../model/index.ts";

export function send(message: ToPrimary): void {
  // Without a channel there is no primary any more: `disconnect` has been or will be told, and tells it all.
  if (process.connected) process.send?.(message, () => {});
}
