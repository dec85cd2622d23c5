/** The worker's side of the channel to the primary. */
import type { ToPrimary } from "../model/index.ts";

/** Resolves when the message is on its way, or can no longer be sent; never rejects. */
export function send(message: ToPrimary): Promise<void> {
  return new Promise((resolve) => {
    // Without a channel the primary is gone. The `disconnect` event reports that and everything that follows from it.
    if (process.connected && process.send !== undefined) process.send(message, () => resolve());
    else resolve();
  });
}
