/**
 * What a worker's HTTPS listeners give their clients: the current version's certificates for the names that clients
 * ask for, and requests for client certificates where a host's document wants them. A connection keeps what it began
 * with.
 */
import { TlsEndpoint } from "../../engine/listening/tls-endpoint.ts";
import type { AskedTls, ClientAuthorities, ListenerTls, TlsChoice } from "../../engine/tls.ts";
import type { PeerMaterials } from "../../engine/upstream/peer-tls.ts";
import {
  type Certificate,
  type ClientCertificateRule,
  challengeProtocol,
  clientRuleId,
  type Exposure,
  type ListenerTlsTerms,
  namedMaterials,
  type Tables,
  type TicketKeyList,
} from "../../model/index.ts";
import {
  type CertificateGroup,
  CertificateIndex,
  chainVersion,
  groupOf,
} from "./certificate-index.ts";

export interface TlsRoomOptions {
  /** What a host's document asks of its clients; `null`: nothing. */
  readonly ruleOf: (host: string, exposes: Exposure) => ClientCertificateRule | null;
  /** Whether the listener offers HTTP/2. */
  readonly http2: boolean;
  readonly onError: (error: unknown) => void;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
}

type RuleOf = (host: string) => ClientCertificateRule | null;

/** An endpoint, and the certificates that it was made of: its own and those of authorities. */
interface Made {
  readonly endpoint: TlsEndpoint;
  readonly from: readonly Certificate[];
}

/**
 * How many names have an endpoint, which takes some kilobytes. Beyond that the oldest is dropped, and made again when
 * asked for.
 */
const maxEndpoints = 5_000;

export class TlsRoom {
  readonly #options: TlsRoomOptions;
  readonly #now: () => number;
  readonly #index = new CertificateIndex();
  #tickets: TicketKeyList = [];
  /** How many versions were applied. */
  #version = 0;
  /** By everything that they depend on, so that none is ever out of date. */
  readonly #endpoints = new Map<string, Made>();
  #certificates: Tables["certificate"] | null = null;
  #challenges: Tables["challenge"] = new Map();

  constructor(options: TlsRoomOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Applies another version, which the next handshake uses. */
  apply({
    certificate,
    challenge,
    ticketKeys,
  }: Pick<Tables, "certificate" | "challenge" | "ticketKeys">): void {
    this.#version += 1;
    this.#challenges = challenge;
    this.#tickets = ticketKeys.get("current") ?? [];
    if (certificate === this.#certificates) return;
    this.#certificates = certificate;
    const left = this.#index.update(certificate);
    if (left.size === 0) return;
    // Nobody asks for these again. The others stay: an endpoint costs more than a handshake.
    for (const [id, { from }] of this.#endpoints)
      if (from.some((one) => left.has(one))) this.#endpoints.delete(id);
  }

  /** The materials that upstreams name, always from the current version. */
  get peerMaterials(): PeerMaterials {
    return namedMaterials(() => this.#certificates ?? new Map());
  }

  /** `exposes`: what the listener exposes, on which a host's site depends. */
  listener(terms: ListenerTlsTerms, exposes: Exposure): ListenerTls {
    const ruleOf = (host: string) => this.#options.ruleOf(host, exposes);
    return { choose: (asked) => this.#choose(asked, terms, ruleOf) };
  }

  #choose(
    { name, protocols }: AskedTls,
    terms: ListenerTlsTerms,
    ruleOf: RuleOf,
  ): TlsChoice | null {
    if (protocols.length === 1 && protocols[0] === challengeProtocol && name !== null) {
      const asked = this.#challenge(name, terms);
      if (asked !== null) return asked;
    }
    const group = (name === null ? null : this.#index.find(name)) ?? this.#default(terms);
    if (group === null) return null;
    const rule = name === null ? null : ruleOf(name);
    const authorities = rule === null ? null : this.#index.named(rule.authorities);
    // When the authority is missing, clients are turned away rather than let in without a certificate.
    if (rule !== null && authorities === null) return null;
    const ruleId = clientRuleId(rule);
    const endpoint = this.#endpoint(group, terms, authorities, rule);
    if (endpoint === null) return null;
    return { endpoint, clientRule: ruleId, covers: this.#coverage(name, group, ruleId, ruleOf) };
  }

  /**
   * The certificate that answers an ACME authority (RFC 8737). Each question is asked a few times, so that its
   * endpoint is not kept.
   */
  #challenge(host: string, { profile }: ListenerTlsTerms): TlsChoice | null {
    for (const challenge of this.#challenges.values()) {
      if (challenge.type !== "tls-alpn-01" || challenge.host !== host) continue;
      const { chain, key } = challenge;
      try {
        const endpoint = new TlsEndpoint({
          pairs: [{ chain, key }],
          profile,
          protocols: [challengeProtocol],
          tickets: () => [],
          clients: null,
          now: this.#now,
          identity: challengeProtocol,
        });
        return { endpoint, clientRule: "", covers: () => false, isHandshakeAll: true };
      } catch (error) {
        this.#options.onError(error);
      }
    }
    return null;
  }

  /** Most requests on one connection name the same host, which is looked up once for each version. */
  #coverage(
    name: string | null,
    group: CertificateGroup,
    ruleId: string,
    ruleOf: RuleOf,
  ): TlsChoice["covers"] {
    let known: string | null = null;
    let version = -1;
    let isCovered = false;
    return (host) => {
      if (host === known && version === this.#version) return isCovered;
      known = host;
      version = this.#version;
      isCovered = (host === name || group.covers(host)) && clientRuleId(ruleOf(host)) === ruleId;
      return isCovered;
    };
  }

  #default({ defaultCertificate }: ListenerTlsTerms): CertificateGroup | null {
    const certificate = defaultCertificate === null ? null : this.#index.named(defaultCertificate);
    return certificate === null || certificate.key === null ? null : groupOf([certificate]);
  }

  /** `authorities`: those of the rule. */
  #endpoint(
    group: CertificateGroup,
    { profile }: ListenerTlsTerms,
    authorities: Certificate | null,
    rule: ClientCertificateRule | null,
  ): TlsEndpoint | null {
    // A resumed session brings a certificate that nobody verifies again, so the authorities that verified it must
    // still be the same.
    const signers = authorities === null ? "" : chainVersion(authorities);
    const id = `${group.id} ${profile} ${clientRuleId(rule)} ${signers}`;
    const known = this.#endpoints.get(id);
    if (known !== undefined) return known.endpoint;
    if (this.#endpoints.size >= maxEndpoints)
      for (const oldest of this.#endpoints.keys()) {
        this.#endpoints.delete(oldest);
        break;
      }
    const clients: ClientAuthorities | null =
      rule === null || authorities === null
        ? null
        : { isRequired: rule.required, authorities: authorities.chain };
    try {
      const endpoint = new TlsEndpoint({
        pairs: group.certificates.map(({ chain, key }) => ({ chain, key: key ?? "" })),
        profile,
        protocols: this.#options.http2 ? ["h2", "http/1.1"] : ["http/1.1"],
        tickets: () => this.#tickets,
        clients,
        now: this.#now,
        identity: id,
      });
      const from = authorities === null ? group.certificates : [...group.certificates, authorities];
      this.#endpoints.set(id, { endpoint, from });
      return endpoint;
    } catch (error) {
      this.#options.onError(error);
      return null;
    }
  }
}
