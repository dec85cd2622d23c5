/** The worker's side of the channel to the primary. */
import type { ToPrimary } from "../model/index.ts";

/** Resolves when the message is on its way, or cannot be any more; never rejects. */
export function send(message: ToPrimary): Promise<void> {
  return new Promise((resolve) => {
    // Without a channel there is no primary any more: `disconnect` has been or will be told, and tells it all.
    if (process.connected && process.send !== undefined) process.send(message, () => resolve());
    else resolve();
  });
}
