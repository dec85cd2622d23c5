/** `peers/<name>`: what operators set by hand for single peers in an upstream or a service. */
import { isIPv6 } from "node:net";
import * as z from "zod";
import { peerKey } from "../engine/peer.ts";
import type { PeerSetting, PeerSettings } from "../model/index.ts";
import { checkDocument, parseJson } from "./document.ts";
import { isServerHost } from "./server-fields.ts";

/** Settings by hand are for a few peers, not for all: each is looked up when an upstream is made. */
const mostPeers = 1_000;

export const peerWeight = z.int().min(1).max(1000);

/** The one spelling of `host:port`; `null` when the text is not an address. */
export function parsePeerAddress(text: string): string | null {
  const [, inBrackets, name, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([1-9]\d{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= 65_535)) return null;
  if (inBrackets !== undefined) return isIPv6(inBrackets) ? peerKey(inBrackets, port) : null;
  return name !== undefined && isServerHost(name) ? peerKey(name, port) : null;
}

const setting = z.strictObject({
  drained: z.boolean().optional().describe("True: it gets no new requests."),
  weight: peerWeight.optional().describe("Replaces its weight."),
  by: z.string().max(200).optional().describe("Who set it."),
  since: z.iso.datetime().optional().describe("When it was set."),
});

export const peersSchema = z
  .record(
    z.string().refine((text) => parsePeerAddress(text) === text, {
      error: (issue) => `${JSON.stringify(issue.input)} is not a peer's ADDRESS:PORT`,
    }),
    setting,
  )
  .refine((peers) => Object.keys(peers).length <= mostPeers, {
    error: `has more than ${mostPeers} peers`,
  })
  .describe("What operators set by hand for single peers, by ADDRESS:PORT.");

/** Reads `peers/<name>`. Throws a `DocumentError`. */
export function parsePeerSettings(key: string, text: string): PeerSettings {
  const written = checkDocument(key, parseJson(key, text), peersSchema);
  return Object.fromEntries(
    Object.entries(written).map(([address, { drained, weight, by = "", since = "" }]) => {
      const read: PeerSetting = { isDrained: drained === true, weight: weight ?? null, by, since };
      return [address, read] as const;
    }),
  );
}

/** The text from which these settings would be read. */
export function formatPeerSettings(settings: PeerSettings): string {
  const written = Object.entries(settings).map(([address, { isDrained, weight, by, since }]) => [
    address,
    {
      ...(isDrained ? { drained: true } : {}),
      ...(weight === null ? {} : { weight }),
      ...(by === "" ? {} : { by }),
      ...(since === "" ? {} : { since }),
    },
  ]);
  return `${JSON.stringify(Object.fromEntries(written), null, 2)}\n`;
}
