/** What `sluice doctor` looks at on this machine: the addresses of the listeners and the limit of open files. */
import { once } from "node:events";
import { createServer } from "node:net";
import { type Address, formatAddress } from "../settings-values.ts";
import { descriptorLimit } from "../worker/descriptors.ts";
import { type Finding, ok, problem, warning } from "./doctor-finding.ts";

/** With less a worker serves a handful of clients. */
const fewestFiles = 1024;

export interface Listener {
  /** `--http` */
  readonly flag: string;
  readonly address: Address;
}

/** `isRunning`: a gateway answers at the admin address, so that its addresses are taken by right. */
export function checkPorts(
  listeners: readonly Listener[],
  isRunning: boolean,
): Promise<readonly Finding[]> {
  return Promise.all(
    listeners.map(async ({ flag, address }) => {
      const where = `${flag} ${formatAddress(address)}`;
      const code = await listeningFails(address);
      if (code === null)
        return isRunning
          ? warning(
              "ports",
              `nobody listens at ${where}, though a gateway runs`,
              `it was started with another ${flag}: give doctor the same flags`,
            )
          : ok("ports", `${where} is free`);
      if (code === "EADDRINUSE")
        return isRunning
          ? ok("ports", `${where} is taken while a gateway runs`)
          : problem(
              "ports",
              `${where} is taken by another process`,
              `end it, or choose another address with ${flag}; ss -ltnp 'sport = :${address.port}' shows who it is`,
            );
      return problem("ports", `${where}: ${reasons[code] ?? code}`, adviceFor(code, flag));
    }),
  );
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user may not listen at a port below 1024",
  EADDRNOTAVAIL: "this machine does not have that address",
};

function adviceFor(code: string, flag: string): string {
  return code === "EACCES"
    ? `choose a port from 1024 on with ${flag}, or give the user the right: setcap cap_net_bind_service=+ep $(command -v node)`
    : `choose another address with ${flag}; 0.0.0.0 stands for all of this machine's`;
}

/** The error's code; `null`: one can listen there. */
async function listeningFails({ host, port }: Address): Promise<string | null> {
  const server = createServer();
  try {
    server.listen({ host, port });
    await once(server, "listening");
    return null;
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  } finally {
    server.close();
  }
}

/** `maxConnections`: of one worker; 0 for no limit. */
export function checkOpenFiles(maxConnections: number): Finding {
  const found = descriptorLimit();
  if (found === null) return ok("files", "no limit of open files can be read here");
  const { limit, most } = found;
  const clients = Math.floor(most / 2);
  const todo =
    "raise it: ulimit -n 65536 in the shell, LimitNOFILE=65536 in a unit of systemd, --ulimit nofile=65536 for docker run";
  if (limit < fewestFiles)
    return problem(
      "files",
      `a process may have ${limit} files open: ${clients} clients a worker`,
      todo,
    );
  if (clients < maxConnections)
    return warning(
      "files",
      `a process may have ${limit} files open: a worker stops accepting at about ${clients} clients, before --max-connections ${maxConnections}`,
      todo,
    );
  return ok("files", `a process may have ${limit} files open`);
}
