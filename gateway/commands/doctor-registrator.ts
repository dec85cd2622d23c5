/** Whether the containers that run here are in Consul, which tells whether a registrator runs. */

import type { ConsulClient } from "../../consul/index.ts";
import {
  type DockerAddress,
  DockerUnreachableError,
  findUnregistered,
} from "../../consul/registrator/index.ts";
import { type Finding, few, ok, warning } from "./doctor-finding.ts";

export async function checkRegistrator(
  docker: DockerAddress,
  consul: ConsulClient,
): Promise<Finding> {
  try {
    const { missing, registered } = await findUnregistered(docker, consul.api);
    if (missing.length > 0)
      return warning(
        "registrator",
        `containers with published ports run here and are not registered: ${few(missing)}`,
        `start npx sluice registrator --docker ${docker.text} --consul ${consul.url} on this host, or look at its log`,
      );
    return registered === 0
      ? ok("registrator", "no container with a published port runs here")
      : ok("registrator", `${registered} containers of this host are registered`);
  } catch (error) {
    if (!(error instanceof DockerUnreachableError)) throw error;
    return ok("registrator", `not looked at, for want of a Docker Engine (${error.message})`);
  }
}
