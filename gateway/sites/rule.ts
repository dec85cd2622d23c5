/** What decides on some of the requests of a host: a route or a path of its document. */
import type { PeerTokens } from "../balancing/index.ts";
import type { Destination, HostDocument, SentHost } from "../model/index.ts";
import type { Phase } from "./phase.ts";
import { createSide, isOpenTo, type Side, Split } from "./split.ts";
import { createStickiness, type Stickiness } from "./stickiness.ts";

export class Rule {
  /** The document that has it: another version of it has other rules. */
  readonly document: HostDocument;
  /** As the document has it: `/api`, or `routes[0] (beta)`. */
  readonly written: string;
  /** The side that all of its requests go to; `null`: there are several. */
  readonly only: Side | null;
  /** What takes part in its requests alone. */
  readonly phases: readonly Phase[];
  /** `null`: requests of one client have nothing to do with each other. */
  readonly sticky: Stickiness | null;
  /** Which `Host` the upstream is sent; `null`: the client's. */
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

  /** Made when it is first asked for: of ten thousand hosts, most rules have one side and no need of it. */
  get split(): Split {
    this.#split ??= new Split(this.#destination.shares, this.only);
    return this.#split;
  }
}
