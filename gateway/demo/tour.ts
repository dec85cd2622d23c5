/** What the demo sets up in KV, and the commands to try with what each will show. */

export const demoHost = "shop.example.com";

/** Keys under the gateway's default prefix, and their values. */
export const entries: Readonly<Record<string, string>> = {
  [`sluice/hosts/${demoHost}`]: `${JSON.stringify({ paths: { "/": "web", "/api": "api" } })}\n`,
  [`sluice/scripts/${demoHost}`]: `export const match = { methods: ["DELETE"] };
export default function (request) {
  return deny(403, "DELETE is switched off here");
}
`,
};

/** The service that asks by its tag to be exposed to everybody; `api` does not. */
export const exposedService = "web";

export interface Stop {
  /** What the command will show. */
  readonly shows: string;
  readonly command: string;
}

export interface Places {
  readonly httpUrl: string;
  readonly internalUrl: string;
  readonly adminUrl: string;
  readonly agentUrl: string;
  /** The process of the instance `web-2`. */
  readonly secondWebPid: number;
}

/** The tour, in the order in which it makes sense. */
export function tour({
  httpUrl,
  internalUrl,
  adminUrl,
  agentUrl,
  secondWebPid,
}: Places): readonly Stop[] {
  return [
    {
      shows: "web-1 or web-2, by turns: the host document sends / to the service web",
      command: `curl -H 'Host: ${demoHost}' ${httpUrl}/`,
    },
    {
      shows: "api-1: the same document sends /api to the service api",
      command: `curl -H 'Host: ${demoHost}' ${httpUrl}/api/items`,
    },
    {
      shows: "a service by its name in Consul, with no configuration but its tag, sluice",
      command: `curl -H 'Host: ${exposedService}.service.consul' ${httpUrl}/`,
    },
    {
      shows: "404: the service api has no such tag, so nobody outside reaches it by its name",
      command: `curl -i -H 'Host: api.service.consul' ${httpUrl}/`,
    },
    {
      shows: "api-1: the listener for clients inside exposes every service by its name",
      command: `curl -H 'Host: api.service.consul' ${internalUrl}/`,
    },
    {
      shows: "403: the script of the host refuses DELETE",
      command: `curl -i -X DELETE -H 'Host: ${demoHost}' ${httpUrl}/`,
    },
    {
      shows: "true: a new script is in KV, and live on every worker a moment later",
      command:
        `curl -X PUT ${agentUrl}/v1/kv/sluice/scripts/hello.example.com ` +
        `--data-binary 'export default (request) => respond({ status: 200, body: "hello from " + request.host + "\\n" });'`,
    },
    {
      shows: "the answer of that script; no service is behind it",
      command: `curl -H 'Host: hello.example.com' ${httpUrl}/`,
    },
    {
      shows: "web-2 ends and takes its leave of Consul: from now on web-1 alone answers /",
      command: `kill ${secondWebPid}`,
    },
    {
      shows: "versions, workers, services, scripts and their errors",
      command: `curl ${adminUrl}/status`,
    },
  ];
}

/** Lines for a terminal. */
export function writeTour(stops: readonly Stop[]): readonly string[] {
  return stops.flatMap(({ shows, command }) => [`# ${shows}`, command, ""]);
}
