/**
 * `sluice doctor`: looks at what a newcomer gets wrong, says what it finds and what to do about it. It reads the
 * flags of `start` and changes nothing.
 */
import { resolveConsulAddress } from "../../consul/api/environment.ts";
import { ConsulClient, describeConsulError } from "../../consul/index.ts";
import { dockerAddress } from "../../consul/registrator/index.ts";
import { loadSettings, type Settings } from "../settings.ts";
import { AdminClient } from "./admin-client.ts";
import { CommandError } from "./command-error.ts";
import { checkAcme } from "./doctor-acme.ts";
import { checkClock, checkReach, checkToken } from "./doctor-consul.ts";
import { type Finding, problem } from "./doctor-finding.ts";
import { checkOpenFiles, checkPorts } from "./doctor-machine.ts";
import { checkRegistrator } from "./doctor-registrator.ts";
import { checkServices } from "./doctor-services.ts";
import type { Output } from "./printable.ts";
import { table } from "./table.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Gives 1 when there is a problem; warnings do not count. */
export async function runDoctor(
  flags: Readonly<Record<string, unknown>>,
  env: Environment,
  { print, printText }: Output,
): Promise<number> {
  const settings = await loadSettings(flags, env);
  const findings = await examine(settings, flags, env);
  const problems = findings.filter(({ level }) => level === "problem").length;
  if (flags.json === true) printText(JSON.stringify({ problems, findings }, null, 2));
  else for (const line of describe(findings)) print(line);
  return problems === 0 ? 0 : 1;
}

async function examine(
  settings: Settings,
  flags: Readonly<Record<string, unknown>>,
  env: Environment,
): Promise<readonly Finding[]> {
  const { url } = settings.consul;
  const address = resolveConsulAddress(url === null ? {} : { url }, env);
  const docker = dockerAddress(typeof flags.docker === "string" ? flags.docker : undefined, env);
  const consul = new ConsulClient(address);
  try {
    const reach = await checkReach(consul);
    const findings: Finding[] = [reach];
    // Without Consul there is nothing to say about its content.
    if (reach.level === "ok") {
      const { prefix } = settings;
      const exposes = settings.expose;
      findings.push(
        await checkToken(consul, prefix, address, settings.serviceName),
        await checkClock(address, Date.now),
        ...(await looked("services", () => checkServices(consul, { exposes, prefix }))),
        ...(await looked("registrator", async () => [await checkRegistrator(docker, consul)])),
      );
    }
    const listeners = [...settings.listeners, { flag: "--admin", address: settings.admin }];
    findings.push(
      ...(await checkPorts(listeners, await isRunning(settings, env))),
      ...(await checkAcme(settings)),
      checkOpenFiles(settings.limits.maxConnections),
    );
    return findings;
  } finally {
    consul.close();
  }
}

/** A refusal by Consul is a finding, not the end of the examination. */
async function looked(
  check: string,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    const todo = "see what is said of the token and of Consul above";
    return [problem(check, describeConsulError(error), todo)];
  }
}

/** Whether a gateway answers at the admin address, also one that asks for a token. */
async function isRunning(settings: Settings, env: Environment): Promise<boolean> {
  try {
    await (await AdminClient.create(settings, env)).status();
    return true;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return / answers 401: /.test(error.message);
  }
}

const signs = { ok: "ok", warning: "warning", problem: "PROBLEM" } as const;

function describe(findings: readonly Finding[]): string[] {
  return table(
    findings.flatMap(({ check, level, what, todo }) => [
      [signs[level], check, what],
      ...(todo === null ? [] : [["", "", `-> ${todo}`]]),
    ]),
  );
}
