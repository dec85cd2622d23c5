/** What decides about some of a host's requests: a route or a path rule in its document. */
import type { PeerTokens } from "../balancing/index.ts";
import type { Destination, HostDocument, SentHost } from "../model/index.ts";
import type { Phase } from "./phase.ts";
import { createSide, isOpenTo, type Side, Split } from "./split.ts";
import { createStickiness, type Stickiness } from "./stickiness.ts";

export class Rule {
  /** The document that has the rule. Another version of the document has other rules. */
  readonly document: HostDocument;
  /** The rule as the document has it: `/api`, or `routes[0] (beta)`. */
  readonly written: string;
  /** The side that gets all of its requests; `null` when there are several. */
  readonly only: Side | null;
  /** The phases that only its requests meet. */
  readonly phases: readonly Phase[];
  /** `null`: the requests of one client are independent of each other. */
  readonly sticky: Stickiness | null;
  /** Which `Host` the upstream gets; `null`: the client's. */
  readonly sentHost: SentHost | null;
  readonly #destination: Destination;
  #split: Split | null = null;

  /** @param tokens for cookies that make clients stay; `null`: there are no such cookies. */
  constructor(
    document: HostDocument,
    written: string,
    destination: Destination,
    phases: readonly Phase[],
    tokens: PeerTokens | null,
  ) {
    const { shares, sticky, sentHost } = destination;
    this.document = document;
    this.written = written;
    const [share, ...others] = shares.filter(isOpenTo);
    this.only = share === undefined || others.length > 0 ? null : createSide(share);
    this.phases = phases;
    this.sentHost = sentHost ?? null;
    this.#destination = destination;
    this.sticky = sticky === undefined ? null : createStickiness(sticky, this.split.sides, tokens);
  }

  /** Made when first asked for: among ten thousand hosts, most rules have one side and do not need it. */
  get split(): Split {
    this.#split ??= new Split(this.#destination.shares, this.only);
    return this.#split;
  }
}
