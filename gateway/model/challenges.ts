/** What an ACME authority asks about while somebody orders a certificate (RFC 8555 section 8), as every gateway answers it. */
export type Challenge =
  | {
      readonly type: "http-01";
      readonly host: string;
      /** The answer to a request for the token. */
      readonly keyAuthorization: string;
    }
  | {
      readonly type: "tls-alpn-01";
      readonly host: string;
      /** The certificate of RFC 8737, made for this question alone, and its key. PEM. */
      readonly chain: string;
      readonly key: string;
    };

export const challengeTypes = ["http-01", "tls-alpn-01"] as const;
export type ChallengeType = (typeof challengeTypes)[number];

/** What precedes a token in the path of a request (RFC 8555 section 8.3). */
export const challengePath = "/.well-known/acme-challenge/";
/** The protocol under which an authority asks for the certificate (RFC 8737 section 4). */
export const challengeProtocol = "acme-tls/1";
