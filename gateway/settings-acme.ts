/** The settings of certificates that gateways order by ACME, as rows of the table in `settings-table.ts`. */
import * as z from "zod";
import { orderFault, parseOrderName } from "./documents/index.ts";
import { type ChallengeType, challengeTypes } from "./model/index.ts";
import type { Definition } from "./settings-table.ts";
import { oneOf, onOff, text } from "./settings-values.ts";

/** Holds the key of the external account; a flag would show in the list of processes. */
export const eabKeyVariable = "SLUICE_ACME_EAB_KEY";

export interface AcmeSettings {
  /** Of the authority's directory. */
  readonly directory: string;
  readonly email: string | null;
  /** The authority's terms of service are agreed to. */
  readonly agreesToTerms: boolean;
  /** In one spelling, each once. Host documents may name more. */
  readonly hosts: readonly string[];
  readonly challenge: ChallengeType;
  /** A file with authorities that are believed about the directory's own certificate; `null`: the public ones. */
  readonly caFile: string | null;
  /** `null`: the authority needs no external account. */
  readonly externalAccount: { readonly keyId: string; readonly key: ExternalKey } | null;
  /** Keys may be written to KV in clear. */
  readonly isClear: boolean;
}

export interface ExternalKey {
  readonly file: string | null;
  readonly text: string | null;
}

const maxHosts = 1_000;

export const acmeDefinitions = {
  acmeDirectory: {
    argument: "URL",
    meaning:
      "The directory of an ACME authority, from which the gateways order certificates. Without it they order none.",
    fallback: null,
    schema: directoryUrl(),
  },
  acmeEmail: {
    argument: "ADDRESS",
    meaning: "Where the authority may write to about the account.",
    fallback: null,
    schema: z.email({ error: "is not an e-mail address" }),
  },
  acmeAgreeTerms: {
    argument: "on|off",
    meaning:
      "You agree to the authority's terms of service. Most authorities open no account without it.",
    fallback: "off",
    isSwitch: true,
    schema: onOff(),
  },
  acmeHosts: {
    argument: "LIST",
    meaning:
      'Hosts to order certificates for, beside those whose document says "certificate": "acme": a.example,b.example.',
    fallback: "",
    schema: orderNames(),
  },
  acmeChallenge: {
    argument: "TYPE",
    meaning:
      "How the authority finds out that a host is yours: http-01 (it asks port 80) or tls-alpn-01 (it asks port 443).",
    fallback: "http-01",
    schema: oneOf(...challengeTypes),
  },
  acmeCaFile: {
    argument: "FILE",
    meaning:
      "Authorities, as PEM, that are believed about the directory's own certificate, for an ACME server of your own.",
    fallback: null,
    schema: text(),
  },
  acmeEabKid: {
    argument: "ID",
    meaning: "The key identifier of an external account, where the authority asks for one.",
    fallback: null,
    schema: text(),
  },
  acmeEabKeyFile: {
    argument: "FILE",
    meaning: "Holds the external account's HMAC key in base64url; or SLUICE_ACME_EAB_KEY has it.",
    fallback: null,
    schema: text(),
  },
  acmeClearKeys: {
    argument: "on|off",
    meaning:
      "Write the private keys to Consul KV in clear. Without it --certificate-key-file is needed, which seals them.",
    fallback: "off",
    isSwitch: true,
    schema: onOff(),
  },
} as const satisfies Readonly<Record<string, Definition>>;

function directoryUrl() {
  return z.string().refine((given) => isDirectory(given), {
    error: "is no URL that begins with https:// and has neither user nor password",
  });
}

function isDirectory(given: string): boolean {
  const url = URL.canParse(given) ? new URL(given) : null;
  return url?.protocol === "https:" && url.username === "" && url.password === "";
}

function orderNames(): z.ZodType<readonly string[]> {
  return z.union([z.string(), z.array(z.string())]).transform((given, context) => {
    const names = typeof given === "string" ? given.split(",") : given;
    const hosts = new Set<string>();
    for (const name of names.map((one) => one.trim()).filter((one) => one !== "")) {
      const host = parseOrderName(name);
      if (host !== null) hosts.add(host);
      else context.addIssue({ code: "custom", message: orderFault(name) ?? "is no host" });
    }
    if (hosts.size > maxHosts)
      context.addIssue({ code: "custom", message: `has more than ${maxHosts} hosts` });
    return [...hosts];
  });
}

/** What the flags say. */
interface Given {
  readonly directory: string | null;
  readonly email: string | null;
  readonly agreesToTerms: boolean;
  readonly hosts: readonly string[];
  readonly challenge: ChallengeType;
  readonly caFile: string | null;
  readonly keyId: string | null;
  readonly key: ExternalKey;
  readonly isClear: boolean;
}

/** `null`: no certificates are ordered. Returns text for what contradicts itself. */
export function acmeFrom({ directory, keyId, key, ...rest }: Given): AcmeSettings | null | string {
  const hasKey = key.file !== null || key.text !== null;
  if (directory === null) return null;
  if (key.file !== null && key.text !== null)
    return `--acme-eab-key-file and ${eabKeyVariable}: give one of them`;
  if ((keyId !== null) !== hasKey)
    return `--acme-eab-kid and --acme-eab-key-file (or ${eabKeyVariable}): one needs the other`;
  return { directory, ...rest, externalAccount: keyId === null ? null : { keyId, key } };
}
