/**
 * Scripts on their way into service, put together: the gate that checks them, and their lives behind
 * it. Both hand on what they let through; the rest of the primary sees changes only.
 */

import type { Served, Source, Tables, TenantPolicy } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { Clock } from "../primary/clock.ts";
import type { CheckScript, ExamineScript, ReplayScript } from "../sandbox/index.ts";
import { ScriptGate } from "./examining/gate.ts";
import { Unexamined } from "./examining/unexamined.ts";
import { HostReleases, type Records, type Subject, type WorkerScriptReport } from "./index.ts";
import { withoutForeignImports } from "./tenancy.ts";

export interface ScriptLifeOptions {
  /** With the schedule's reading. */
  readonly examine: ExamineScript;
  readonly replay: ReplayScript;
  readonly records: Records;
  /** Names this gateway in the history of scripts. */
  readonly name: string;
  readonly live: Tables;
  /** Who may use what. Default, or `null`: there is one tenant. */
  readonly tenants?: TenantPolicy | null;
  readonly pass: (changes: readonly Served[]) => void;
  readonly reports: () => readonly WorkerScriptReport[];
  readonly clock: Clock;
  readonly log: Log;
  readonly prefix: string;
}

/** The tables of a snapshot with every script that Consul had: also those that its schedule kept closed. */
export function withClosed(tables: Tables): Tables {
  const script = new Map<string, Source>();
  for (const [host, trial] of tables.trial) script.set(host, trial.source);
  for (const [host, closed] of tables.closed) {
    const source = closed.script ?? closed.trial?.source;
    if (source !== undefined) script.set(host, source);
  }
  for (const [host, source] of tables.script) script.set(host, source);
  return { ...tables, script };
}

export function createScriptLife(options: ScriptLifeOptions): {
  readonly gate: ScriptGate;
  readonly lives: HostReleases;
  readonly unexamined: Unexamined;
} {
  const { examine, replay, records, name, live, reports, clock, log, prefix } = options;
  const unexamined = new Unexamined({
    tables: live,
    pass: (changes) => pass(changes),
    wanted: () => gate.wanted,
    isOpen: (host) => gate.isUnexamined(host) || lives.isWaiting(host),
  });
  const pass = (changes: readonly Served[]) => {
    unexamined.passed(changes);
    options.pass(changes);
  };
  const lives = new HostReleases({
    pass,
    examine,
    replay,
    records,
    clock,
    log,
    name,
    live,
    reports,
    onSettled: (host) => unexamined.found(host),
  });
  const check: CheckScript = async (host, tables, isWanted) => {
    const { fault, declared } = await examine(host, tables, isWanted);
    const version = tables.script.get(host)?.version;
    if (fault === null && declared !== null && version !== undefined) {
      lives.learn(version, declared);
    }
    return fault;
  };
  const gate = new ScriptGate({
    check,
    pass: (changes) => lives.take(changes),
    live: withoutForeignImports(withClosed(live), options.tenants ?? null),
    clock,
    log,
    prefix,
    // Its keys are `scripts/<host>` and `modules/<name>`.
    onRefused: (key, source, reason) => lives.refused(key as Subject, source, reason),
    onKept: (host, source) => lives.kept(host, source),
    onExamined: (host) => unexamined.found(host),
    hasServed: (host, version) => lives.hasServed(host, version),
    alsoLive: (host) => lives.inService(host),
  });
  return { gate, lives, unexamined };
}
