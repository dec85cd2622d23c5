/**
 * What a host's document says about its clients' connections: that requests in clear go on over TLS, what browsers are to
 * remember of it, which clients must show a certificate. Made when a version is applied; requests meet it first.
 */
import type { ClientTls } from "../engine/tls.ts";
import { clientRuleId, type HostDocument, type HstsRule } from "../model/index.ts";
import type { Phase } from "./phase.ts";

/** What vouches for a client towards the upstream and scripts. No client's own field of these names is ever seen. */
const subjectField = "X-Client-Cert-Subject";
const fingerprintField = "X-Client-Cert-Fingerprint";

export function edgePhases(document: HostDocument): readonly Phase[] {
  const phases: Phase[] = [];
  if (document.redirectsToHttps) phases.push(redirection);
  if (document.hsts !== undefined) phases.push(hsts(document.hsts));
  if (document.clientCertificate !== undefined) {
    const { required } = document.clientCertificate;
    phases.push(clientCertificate(required, clientRuleId(document.clientCertificate)));
  }
  return phases;
}

const redirection: Phase = {
  name: "redirect to https",
  onRequest(exchange) {
    if (exchange.scheme === "https") return true;
    const { host, path, query } = exchange;
    const location = `https://${host}${path}${query === "" ? "" : `?${query}`}`;
    exchange.answer({ status: 308, headers: { location } });
    return false;
  },
};

function hsts({ maxAgeSeconds, includeSubdomains, preload }: HstsRule): Phase {
  const value = [
    `max-age=${maxAgeSeconds}`,
    ...(includeSubdomains ? ["includeSubDomains"] : []),
    ...(preload ? ["preload"] : []),
  ].join("; ");
  return {
    name: "strict transport security",
    onResponse(exchange) {
      // In clear it means nothing, and anybody could have written it (RFC 6797 section 7.2).
      if (exchange.scheme === "https")
        exchange.setResponseHeader("Strict-Transport-Security", value);
    },
  };
}

/** `rule`: what connections of the host have asked their clients for. */
function clientCertificate(required: boolean, rule: string): Phase {
  return {
    name: "client certificate",
    onRequest(exchange) {
      const certificate = certificateUnder(exchange.tls, rule);
      if (certificate !== null) {
        exchange.setHeader(subjectField, certificate.subject);
        exchange.setHeader(fingerprintField, certificate.fingerprint);
        return true;
      }
      if (!required) return true;
      const message = `${exchange.host} answers clients with a certificate alone`;
      exchange.fail(403, "client_certificate_required", message);
      return false;
    },
  };
}

/** One that other authorities verified, for another host, is none here. */
function certificateUnder(tls: ClientTls | null, rule: string): ClientTls["certificate"] {
  return tls !== null && tls.clientRule === rule ? tls.certificate : null;
}
