/** Where the Docker Engine is: a flag, DOCKER_HOST or Docker's own default, as dockerode wants it. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { describeDockerError } from "./docker.ts";

/** Docker's own, and where gliderlabs/registrator looks in its container. */
const usualSockets: readonly [string, ...string[]] = ["/var/run/docker.sock", "/tmp/docker.sock"];

export interface DockerAddress {
  /** As an operator writes it, for messages. */
  readonly text: string;
  readonly connection: Dockerode.DockerOptions;
}

/** An address that cannot be used; the message says which and what it takes. */
export class DockerAddressError extends Error {
  override readonly name = "DockerAddressError";
}

/**
 * Reads `unix:///path`, `tcp://host:port`, `http://` or `https://`. Without a flag, DOCKER_HOST counts, then
 * the first of `sockets` that is there. DOCKER_TLS_VERIFY and DOCKER_CERT_PATH hold for tcp, as in Docker's own client.
 * Throws `DockerAddressError`.
 */
export function dockerAddress(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  sockets: typeof usualSockets = usualSockets,
): DockerAddress {
  const source = flag ? "--docker" : "DOCKER_HOST";
  const text = flag || env.DOCKER_HOST || `unix://${sockets.find(isTrusted) ?? sockets[0]}`;
  const wrong = (why: string) =>
    new DockerAddressError(
      `${source}: ${why}; it takes unix:///path or tcp://host:port, not ${JSON.stringify(text)}`,
    );
  if (text.startsWith("unix://")) {
    const socketPath = text.slice("unix://".length);
    if (!socketPath.startsWith("/")) throw wrong("the path of the socket must be absolute");
    // `host: undefined` keeps dockerode from taking DOCKER_HOST instead.
    return { text, connection: { socketPath, host: undefined } };
  }
  if (!URL.canParse(text)) throw wrong("not an address");
  const url = new URL(text);
  if (!["tcp:", "http:", "https:"].includes(url.protocol)) throw wrong("not supported");
  if (url.hostname === "") throw wrong("no host in it");
  const verify = (env.DOCKER_TLS_VERIFY ?? "") !== "";
  const secure = url.protocol === "https:" || verify || url.port === "2376";
  const certificates = env.DOCKER_CERT_PATH;
  return {
    text,
    connection: {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? (secure ? 2376 : 2375) : Number(url.port),
      protocol: secure ? "https" : "http",
      ...(secure && certificates ? readCertificates(certificates) : {}),
    },
  };
}

/** In `/tmp` anybody may make a socket: it counts when root or this user did. */
function isTrusted(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isSocket() === true && (found.uid === 0 || found.uid === process.getuid?.());
}

function readCertificates(directory: string): Pick<Dockerode.DockerOptions, "ca" | "cert" | "key"> {
  try {
    return {
      ca: readFileSync(join(directory, "ca.pem")),
      cert: readFileSync(join(directory, "cert.pem")),
      key: readFileSync(join(directory, "key.pem")),
    };
  } catch (error) {
    throw new DockerAddressError(`DOCKER_CERT_PATH: ${describeDockerError(error)}`);
  }
}
