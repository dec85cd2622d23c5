/** Writes the table of docs/settings.md: `node gateway/settings-page.ts > docs/settings.md`. */
import { settingNames } from "./settings-table.ts";

/** The whole page, as Markdown. */
export function settingsPage(): string {
  const rows = settingNames.map(
    ({ flag, variable, field, argument, isSwitch, meaning, fallback }) =>
      [
        `\`${flag} ${isSwitch ? `[${argument}]` : argument}\``,
        `\`${variable}\``,
        `\`${field}\``,
        fallback && `\`${fallback}\``,
        meaning,
      ]
        .map((cell) => cell.replaceAll("|", "\\|"))
        .join(" | "),
  );
  return `# Settings of \`sluice start\`

Made from the table in \`gateway/settings-table.ts\` by \`node gateway/settings-page.ts\`.

The flag of a setting goes before its variable, the variable before the field in the file that
\`--config\` names, and the field before the default. A variable that is empty counts as not set. An unknown flag,
an unknown field of the file and an unknown \`SLUICE_\` variable are errors, so that a typing mistake
does not go unnoticed.

Durations are written \`500ms\`, \`10s\`, \`1m\`, \`1h\`; sizes \`32768\`, \`32k\`, \`1m\`; addresses
\`127.0.0.1:8080\`, \`[::1]:8080\` or \`:8080\`. The file is a JSON object with the fields below:

\`\`\`json
{ "http": "0.0.0.0:80", "dataDir": "/var/lib/sluice", "trustedProxies": ["10.0.0.0/8"] }
\`\`\`

Consul's own variables hold as for its own commands: \`CONSUL_HTTP_ADDR\`, \`CONSUL_HTTP_TOKEN\`,
\`CONSUL_HTTP_TOKEN_FILE\`, \`CONSUL_HTTP_SSL\`, \`CONSUL_HTTP_SSL_VERIFY\`, \`CONSUL_CACERT\`,
\`CONSUL_CLIENT_CERT\`, \`CONSUL_CLIENT_KEY\`, \`CONSUL_TLS_SERVER_NAME\`.

Three secrets have a variable and no flag, because flags show in the list of processes: \`SLUICE_ADMIN_TOKEN\`, the token that a write to the
[admin API](admin-api.md) must show, \`SLUICE_CERTIFICATE_KEY\` (see \`--certificate-key-file\`), and \`SLUICE_ACME_EAB_KEY\` (see \`--acme-eab-key-file\`). The commands that ask admin APIs also
read \`SLUICE_ADMIN_CA\`, \`SLUICE_ADMIN_CLIENT_CERT\` and \`SLUICE_ADMIN_CLIENT_KEY\`.

These pages explain what belongs together: [TLS](tls.md) and [TCP and UDP](tcp-and-udp.md) listeners, certificates, [the admin API](admin-api.md),
[Consul](consul.md), [proxies in front](behind-a-proxy.md), [health and zones](health.md), [tenants](tenants.md).

| flag | variable | field | default | meaning |
| --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join("\n")}
`;
}

if (import.meta.main) process.stdout.write(settingsPage());
