/**
 * The admin API of single peers: `POST /upstream/<name>/peer/<address>/drain`, `enable` and `weight`. The name is an
 * upstream document's or a service's.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import { DocumentError, parsePeerAddress, peerWeight } from "../../documents/index.ts";
import type { PeerSetting } from "../../model/index.ts";
import { type PeerChange, type PeerOperations, SourceMissing } from "../../releases/index.ts";
import type { KnownPeers } from "../known-peers.ts";
import { type Arrivals, waitQueryOf } from "./arrivals.ts";
import type { Journal } from "./journal.ts";
import { callerOf, jsonIn } from "./requests.ts";

export interface PeerRoutesOptions {
  readonly peers: Pick<PeerOperations, "change">;
  readonly knownPeers: Pick<KnownPeers, "find" | "setting">;
  readonly arrivals: Arrivals;
  readonly journal: Pick<Journal, "detail">;
}

export const wantedWeight = z.strictObject({
  weight: peerWeight.nullable().describe("null: that of its document or of Consul again."),
});

const changes: Readonly<Record<string, (request: FastifyRequest) => PeerChange>> = {
  drain: () => ({ isDrained: true }),
  enable: () => ({ isDrained: false }),
  weight: (request) => {
    const wanted = jsonIn(request, wantedWeight);
    if (wanted !== null) return wanted;
    throw new DocumentError("bad_document", "the body", 'is empty; it has {"weight": 1 to 1000}');
  },
};

/** `null`: there is no such route. */
export function answerPeer(
  parts: readonly string[],
  options: PeerRoutesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> | null {
  const [name = "", peer, address = "", verb = "", ...more] = parts;
  const change = changes[verb];
  const isKnown = peer === "peer" && change !== undefined && more.length === 0;
  if (!isKnown || request.method !== "POST") return null;
  return act(name, address, change, options, request, reply);
}

async function act(
  given: string,
  written: string,
  changeOf: (request: FastifyRequest) => PeerChange,
  { peers, knownPeers, arrivals, journal }: PeerRoutesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const query = waitQueryOf(request.query);
  const change = changeOf(request);
  const found = knownPeers.find(given);
  if (found === null)
    throw new SourceMissing(`there is no upstream document and no service in use named ${given}`);
  const address = parsePeerAddress(written);
  if (address === null)
    throw new DocumentError(
      "bad_document",
      "the path",
      `${JSON.stringify(written)} is not a peer's ADDRESS:PORT`,
    );
  const { name, addresses } = found;
  // What was set for a peer that has left can still be taken back.
  if (!addresses.has(address) && knownPeers.setting(name, address) === null)
    throw new SourceMissing(`${name} has no peer ${address}`);
  const { before, after } = await peers.change(name, address, change, callerOf(request));
  journal.detail(request.raw, { before: shown(before), after: shown(after) });
  const more = { name, peer: address, ...shown(after) };
  return arrivals.of(`peers/${name}`, reply, query, more);
}

function shown(setting: PeerSetting | null) {
  return { drained: setting?.isDrained ?? false, weight: setting?.weight ?? null };
}
