/** The settings of who may use the admin API, as rows of the table in `settings-table.ts`. */
import type { Definition } from "./settings-table.ts";
import { hosts, oneOf, onOff, text } from "./settings-values.ts";

export const adminDefinitions = {
  adminTokenFile: {
    argument: "FILE",
    meaning:
      "Holds the token that a write to the admin API must show. Without it and SLUICE_ADMIN_TOKEN one is made.",
    fallback: null,
    schema: text(),
  },
  adminHosts: {
    argument: "LIST",
    meaning:
      "Further names, addresses or blocks of admin APIs: this one answers for them, and commands send them the token.",
    fallback: "",
    schema: hosts(),
  },
  adminMetrics: {
    argument: "WHO",
    meaning:
      "Who may read /metrics where other machines reach the admin API: token, whoever has the token, or open, everybody.",
    fallback: "token",
    schema: oneOf("token", "open"),
  },
  adminOpen: {
    argument: "on|off",
    meaning:
      "Take writes to the admin API without the token, on loopback alone: for those who move over from Slardar.",
    fallback: "off",
    isSwitch: true,
    schema: onOff(),
  },
  adminCert: {
    argument: "FILE",
    meaning: "The admin API's certificate and its chain, as PEM: then it speaks HTTPS only.",
    fallback: null,
    schema: text(),
  },
  adminKey: {
    argument: "FILE",
    meaning: "The private key of that certificate, as PEM.",
    fallback: null,
    schema: text(),
  },
  adminClientCa: {
    argument: "FILE",
    meaning: "Authorities, as PEM: every client must show a certificate that one of them signed.",
    fallback: null,
    schema: text(),
  },
} as const satisfies Readonly<Record<string, Definition>>;

export interface AdminSettings {
  readonly tokenFile: string | null;
  /** From its variable alone: a flag would show in the list of processes. */
  readonly token: string | null;
  readonly hosts: readonly string[];
  readonly metrics: "token" | "open";
  /** Writes need no token. */
  readonly isOpen: boolean;
  readonly cert: string | null;
  readonly key: string | null;
  readonly clientCa: string | null;
}

export const tokenVariable = "SLUICE_ADMIN_TOKEN";

/** What only the commands that ask an admin API read. */
export const clientVariables = {
  ca: "SLUICE_ADMIN_CA",
  cert: "SLUICE_ADMIN_CLIENT_CERT",
  key: "SLUICE_ADMIN_CLIENT_KEY",
} as const;
