/** What tests need of an ACME authority, whichever it is. */
export interface Places {
  /** Ports of this machine that stand for 80 and 443. */
  readonly http: number;
  readonly https: number;
}

export interface AuthorityUnderTest {
  readonly directory: string;
  /** PEM: whoever signed the directory's own certificate. */
  readonly ca: string;
  /** Where it asks for challenges, whatever the host. */
  asksAt(places: Places): void;
  stop(): Promise<void>;
}
