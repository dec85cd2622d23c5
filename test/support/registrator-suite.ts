/** A suite on a real Docker Engine and a Consul, where each test starts its own registrator. */
import type { ConsulKind, TestConsul } from "./consul.ts";
import { type DockerEngine, startDocker } from "./docker.ts";
import { type ConsulView, viewOf } from "./registered.ts";
import { type RegistratorProcess, startRegistratorProcess } from "./registrator.ts";

export interface RegistratorSuite {
  readonly docker: DockerEngine;
  readonly consul: TestConsul;
  readonly view: ConsulView;
  /** Starts one as `host1` in place of the last; it is stopped after the test. */
  start(...flags: readonly string[]): Promise<RegistratorProcess>;
}

/** To be called in `describe`. The parts are there while a test runs. */
export function registratorSuite(kind: ConsulKind): RegistratorSuite {
  let docker: DockerEngine | null = null;
  let consul: TestConsul | null = null;
  let registrator: RegistratorProcess | null = null;
  const there = <Part>(part: Part | null): Part => {
    if (part === null) throw new Error("no test is running");
    return part;
  };
  const suite: RegistratorSuite = {
    get docker() {
      return there(docker);
    },
    get consul() {
      return there(consul);
    },
    get view() {
      return viewOf(there(consul).url);
    },
    async start(...flags) {
      await registrator?.stop();
      registrator = await startRegistratorProcess([
        ...["--docker", suite.docker.host, "--consul", suite.consul.url],
        ...["--hostname", "host1", "--compare-ms", "200", ...flags],
      ]);
      return registrator;
    },
  };
  before(async () => {
    [docker, consul] = await Promise.all([startDocker(), kind.start()]);
  });
  after(async () => {
    await Promise.all([docker?.stop(), consul?.stop()]);
  });
  afterEach(async () => {
    await registrator?.stop();
    registrator = null;
    const { api } = suite.docker;
    const containers = await api.listContainers({ all: true });
    await Promise.all(containers.map(({ Id }) => api.getContainer(Id).remove({ force: true })));
    for (const id of await suite.view.ids()) await suite.view.deregister(id);
  });
  return suite;
}
