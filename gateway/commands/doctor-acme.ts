/**
 * What `sluice doctor` looks at where certificates are ordered by ACME: whether an authority can ask a listener here, and
 * whether the authority's directory answers. It orders nothing.
 */
import { get } from "node:https";
import { json } from "node:stream/consumers";
import { acmeMaterials } from "../acme-materials.ts";
import { givenSealingKey } from "../sealing.ts";
import { type Settings, SettingsError } from "../settings.ts";
import type { AcmeSettings } from "../settings-acme.ts";
import { formatAddress } from "../settings-values.ts";
import { type Finding, ok, problem, warning } from "./doctor-finding.ts";

const check = "acme";
/** Where authorities ask (RFC 8555 section 8.3, RFC 8737 section 3). */
const asked = {
  "http-01": { protocol: "http", port: 80, what: "in clear", flag: "--http 0.0.0.0:80" },
  "tls-alpn-01": { protocol: "https", port: 443, what: "with TLS", flag: "--https 0.0.0.0:443" },
} as const;
const directoryTimeoutMs = 5_000;

export async function checkAcme(settings: Settings): Promise<readonly Finding[]> {
  const { acme, listeners, certificates } = settings;
  if (acme === null) return [];
  try {
    const { ca } = await acmeMaterials(acme, await givenSealingKey(certificates.sealingKey));
    return [checkListener(acme, listeners), await checkDirectory(acme.directory, ca)];
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return [problem(check, error.message, "a gateway with these settings does not start")];
  }
}

function checkListener({ challenge }: AcmeSettings, listeners: Settings["listeners"]): Finding {
  const { protocol, port, what, flag } = asked[challenge];
  const able = listeners.filter((one) => one.protocol === protocol);
  const [first] = able;
  if (first === undefined)
    return problem(check, `${challenge}: no listener ${what} that an authority could ask`, flag);
  const fitting = able.find(({ address }) => address.port === port);
  if (fitting !== undefined)
    return ok(check, `${challenge}: an authority can ask ${formatAddress(fitting.address)}`);
  return warning(
    check,
    `${challenge}: authorities ask port ${port}, where no listener ${what} is`,
    `add ${flag}, or lead port ${port} of the hosts to ${formatAddress(first.address)}`,
  );
}

async function checkDirectory(url: string, ca: string | null): Promise<Finding> {
  try {
    const directory = await read(url, ca);
    if (typeof directory !== "object" || directory === null || !("newOrder" in directory))
      throw new Error("what is there is no directory of ACME");
    return ok(check, `the authority answers at ${url}`);
  } catch (error) {
    return problem(
      check,
      `the authority does not answer at ${url}: ${reasonOf(error)}`,
      "look at --acme-directory, at --acme-ca-file where the authority is your own, and at what this machine may connect to",
    );
  }
}

function read(url: string, ca: string | null): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(directoryTimeoutMs);
    get(url, { agent: false, signal, ...(ca === null ? {} : { ca }) }, (answer) => {
      if (answer.statusCode === 200) json(answer).then(resolve, reject);
      else {
        answer.resume();
        reject(new Error(`it answers ${answer.statusCode}`));
      }
    }).on("error", (error) => {
      const late = new Error(`no answer within ${directoryTimeoutMs / 1_000} s`);
      reject(signal.aborted ? late : error);
    });
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof SyntaxError) return "what is there is no JSON";
  if (!(error instanceof Error)) return String(error);
  // The error of a connection that failed at several addresses has no message of its own.
  return error.message || ("code" in error ? String(error.code) : error.name);
}
