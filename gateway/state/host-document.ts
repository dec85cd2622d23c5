/** A host document, `hosts/<host>`: which paths of a host go to which upstream. */

/** A share of the requests of a path. */
export interface Share {
  /** The name of an upstream document or, when there is none, a Consul service in a DNS form. */
  readonly upstream: string;
  /** 0 to 1000; shares are in proportion. */
  readonly weight: number;
}

export interface PathRule {
  /** Starts with `/`. Matches whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. */
  readonly prefix: string;
  /** At least one. */
  readonly shares: readonly Share[];
}

export interface HostDocument {
  /** False: the host answers 404 as if the document were not there. Default true. */
  readonly enable: boolean;
  /** Longest prefix first. */
  readonly paths: readonly PathRule[];
}
