/**
 * What a host document says about clients' connections: that requests in clear are redirected to TLS, what browsers
 * have to remember about that, and which clients must show a certificate. The phases are made when a version is
 * applied, and requests meet them first.
 */
import type { ClientTls } from "../engine/tls.ts";
import { clientRuleId, type HostDocument, type HstsRule } from "../model/index.ts";
import type { Phase } from "./phase.ts";

/**
 * These fields vouch for a client towards the upstream and scripts. A client's own fields with these names are
 * dropped.
 */
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
    // `OPTIONS *` has no path, and `*` would become a part of the host.
    const asked = path.startsWith("/") ? path : "/";
    const location = `https://${host}${asked}${query === "" ? "" : `?${query}`}`;
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
      // In clear the field means nothing, and anybody could have written it (RFC 6797 section 7.2).
      if (exchange.scheme === "https")
        exchange.setResponseHeader("Strict-Transport-Security", value);
    },
  };
}

/** `rule`: the rule by which connections for this host were asked for a certificate. */
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

/** A certificate that was verified against another host's authorities does not count here. */
function certificateUnder(tls: ClientTls | null, rule: string): ClientTls["certificate"] {
  return tls !== null && tls.clientRule === rule ? tls.certificate : null;
}
