/**
 * The gate between Consul and what serves: a script or a module passes only after it was checked. One that fails is refused,
 * and its last good version stays. Agreements and settings pass at once.
 */

import type { Candidate, Json, Source, Tables } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import { describeFault, type ExamineScript, type ScriptFault } from "../../sandbox/index.ts";
import { partsOf, type Subject } from "../records/keys.ts";
import type { Refusals } from "../refusals.ts";
import { type Attempt, Attempts } from "./attempts.ts";
import { type Group, isPending, ScriptGroups, subjectsOf } from "./groups.ts";
import { ScriptTexts } from "./script-texts.ts";
import type { Serving } from "./serving.ts";

export interface ScriptGateOptions {
  readonly examine: ExamineScript;
  /** Takes what may go live. */
  readonly serving: Serving;
  readonly refusals: Refusals;
  /** What is live at the start. */
  readonly live: Pick<Tables, "script" | "module" | "setting">;
  readonly clock: { now(): number };
  readonly log: Log;
}

export class ScriptGate {
  readonly #serving: Serving;
  readonly #refusals: Refusals;
  readonly #attempts: Attempts;
  readonly #clock: { now(): number };
  readonly #log: Log;
  /** What Consul has. */
  readonly #wanted: ScriptTexts;
  /** What was let through last. */
  readonly #live: ScriptTexts;
  /** Replaced when one changes, so that it says by itself what it is. */
  #settings: ReadonlyMap<string, Json>;
  readonly #loadedAt = new Map<string, number>();
  /** What is to be looked at. */
  readonly #dirty = new Set<Subject>();
  /**
   * What is being examined. What is offered meanwhile waits, so that an older check never ends after a newer
   * one.
   */
  readonly #busy = new Set<Subject>();
  #isPlanned = false;
  #idle: PromiseWithResolvers<void> | null = null;
  #hasBegun = false;

  constructor({ examine, serving, refusals, live, clock, log }: ScriptGateOptions) {
    this.#serving = serving;
    this.#refusals = refusals;
    this.#clock = clock;
    this.#log = log;
    this.#wanted = new ScriptTexts(live);
    this.#live = new ScriptTexts(live);
    this.#settings = new Map(live.setting);
    this.#attempts = new Attempts({
      ...{ examine, serving, wanted: this.#wanted, live: this.#live },
      settings: () => this.#settings,
      isReplaced: (subject) => this.#dirty.has(subject),
    });
    for (const host of this.#live.script.keys()) this.#loadedAt.set(host, this.#clock.now());
  }

  /** Changes from the sources, in their order. Returns at once. */
  offer(changes: readonly Candidate[]): void {
    const passing: Candidate[] = [];
    for (const change of changes) {
      if (change.kind === "script") {
        this.#wanted.set("script", change.key, change.value);
        this.#dirty.add(`scripts/${change.key}`);
        // A script that is gone needs no check, and must not run a moment longer.
        if (change.value === null) passing.push(...this.#drop(change.key));
        else this.#serving.awaits(change.key, change.value);
      } else if (change.kind === "module") {
        this.#wanted.set("module", change.key, change.value);
        this.#dirty.add(`modules/${change.key}`);
      } else {
        passing.push(change);
        if (change.kind === "setting") this.#takeSetting(change.key, change.value);
      }
    }
    if (passing.length > 0) this.#serving.take(passing);
    this.#advance();
  }

  /**
   * Checks begin only now: at a start scripts may arrive before the modules that they import, and would
   * be refused for a moment.
   */
  begin(): void {
    this.#hasBegun = true;
    this.#advance();
  }

  /** Resolves when every source that was offered so far has been let through or refused. Needs `begin`. */
  async settled(): Promise<void> {
    if (!this.#isPlanned && this.#busy.size === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** When the live script of `host` was let through, in milliseconds since the epoch. */
  loadedAt(host: string): number | null {
    return this.#loadedAt.get(host) ?? null;
  }

  #advance(): void {
    if (!this.#hasBegun || this.#isPlanned || this.#dirty.size === 0) return;
    this.#isPlanned = true;
    // Everything that is offered in the same turn is examined together.
    queueMicrotask(() => {
      this.#isPlanned = false;
      this.#plan();
    });
  }

  #takeSetting(name: string, value: Json | null): void {
    const settings = new Map(this.#settings);
    if (value === null) settings.delete(name);
    else settings.set(name, value);
    this.#settings = settings;
    // A script may have been refused because it reads a setting that was not there.
    for (const subject of this.#refusals.subjects()) this.#dirty.add(subject);
  }

  #drop(host: string): Candidate[] {
    this.#refusals.drop(`scripts/${host}`);
    // Also when none was let through: an earlier version may serve instead of a refused one.
    this.#live.set("script", host, null);
    this.#loadedAt.delete(host);
    return [{ kind: "script", key: host, value: null }];
  }

  /**
   * Examines everything that waits for nothing: sources that belong together as one group, groups side by side.
   */
  #plan(): void {
    const groups = new ScriptGroups({
      wanted: this.#wanted,
      live: this.#live,
      importersOf: (modules) => this.#attempts.importersOf(modules),
    });
    for (const subject of this.#inOrder()) {
      if (!this.#dirty.has(subject)) continue;
      const group = groups.of(subject);
      const subjects = subjectsOf(group);
      if (subjects.some((one) => this.#busy.has(one))) continue;
      for (const one of subjects) {
        this.#dirty.delete(one);
        this.#busy.add(one);
      }
      void this.#look(group);
    }
    this.#rest();
  }

  /** Versions that served before come first, so that what worked is back before anything new. */
  #inOrder(): readonly Subject[] {
    const served: Subject[] = [];
    const others: Subject[] = [];
    for (const subject of this.#dirty) {
      const { kind, name } = partsOf(subject);
      const version = kind === "scripts" ? this.#wanted.script.get(name)?.version : undefined;
      const isKnown = version !== undefined && this.#serving.hasServed(name, version);
      (isKnown || kind === "modules" ? served : others).push(subject);
    }
    return [...served, ...others];
  }

  /**
   * Examines a group: its modules with the scripts that they must not break, then each other script by itself.
   */
  async #look(group: Group): Promise<void> {
    for (const host of group.scripts) {
      const source = this.#wanted.script.get(host);
      if (source && !this.#isPending("script", host)) this.#serving.kept(host, source);
    }
    const modules = [...group.modules].filter((name) => this.#isPending("module", name));
    const isAtStake = (host: string) =>
      modules.length > 0 &&
      (this.#live.script.has(host) || this.#serving.inService(host).length > 0);
    const atStake = [...group.scripts].filter(isAtStake);
    const others = [...group.scripts].filter((host) => !isAtStake(host));
    if (modules.length > 0) await this.#settleSafely(modules, atStake);
    this.#release(subjectsOf({ modules: group.modules, scripts: new Set(atStake) }));
    const each = others.map(async (host) => {
      await this.#settleSafely([], [host]);
      this.#release([`scripts/${host}`]);
    });
    await Promise.all(each);
  }

  async #settleSafely(modules: readonly string[], scripts: readonly string[]): Promise<void> {
    try {
      await this.#settle(modules, scripts);
    } catch (error) {
      this.#log.error({ err: error }, "the check of scripts failed; what was live stays");
    }
  }

  #release(subjects: readonly Subject[]): void {
    for (const subject of subjects) {
      this.#busy.delete(subject);
      const { kind, name } = partsOf(subject);
      const isPendingStill = this.#isPending(kind === "scripts" ? "script" : "module", name);
      if (!isPendingStill) this.#refusals.drop(subject);
      if (kind === "scripts" && !this.#dirty.has(subject)) this.#serving.examined(name);
    }
    this.#advance();
    this.#rest();
  }

  #rest(): void {
    if (this.#isPlanned || this.#busy.size > 0) return;
    this.#idle?.resolve();
    this.#idle = null;
  }

  #isPending(kind: "script" | "module", name: string): boolean {
    return isPending(kind, name, this.#wanted, this.#live);
  }

  /** All modules together; when that breaks a live script, one by one; then scripts without them. */
  async #settle(modules: readonly string[], scripts: readonly string[]): Promise<void> {
    const attempt = await this.#attempts.try(modules, scripts);
    for (const { subject, fault } of attempt.refused) this.#refuse(subject, fault);
    if (attempt.broken === null) {
      this.#accept(attempt);
    } else if (modules.length > 1) {
      for (const name of modules) await this.#settle([name], scripts);
    } else {
      const [name = ""] = modules;
      const message = `it would break ${describeFault(attempt.broken)}`;
      const key: Subject = `modules/${name}`;
      this.#refuse(key, { ...attempt.broken, key, line: 0, column: 0, message });
      await this.#settle([], scripts);
    }
  }

  /**
   * Lets through what passed. A source that was offered anew meanwhile waits for its own round. Where modules
   * were tried, so does everything that was tried with them, because it passed only together with them.
   */
  #accept(attempt: Attempt): void {
    const modules = attempt.modules.map((name) => ({ kind: "module" as const, name }));
    const scripts = attempt.scripts.map((name) => ({ kind: "script" as const, name }));
    const isOutdated = ({ kind, name }: { kind: "module" | "script"; name: string }) =>
      this.#dirty.has(`${kind}s/${name}`);
    const passed = [...modules, ...scripts];
    if (modules.length > 0 && passed.some(isOutdated)) {
      for (const { kind, name } of passed) this.#dirty.add(`${kind}s/${name}`);
      return;
    }
    const changes: Candidate[] = [];
    for (const { kind, name } of passed.filter((entry) => !isOutdated(entry))) {
      if (!this.#isPending(kind, name)) continue;
      const value = this.#wanted[kind].get(name) ?? null;
      this.#live.set(kind, name, value);
      this.#refusals.passes(`${kind}s/${name}`, value?.version ?? null);
      if (kind === "script") this.#loadedAt.set(name, this.#clock.now());
      changes.push({ kind, key: name, value });
    }
    if (changes.length > 0) this.#serving.take(changes);
  }

  #refuse(subject: Subject, fault: ScriptFault): void {
    // Another source came meanwhile.
    if (this.#dirty.has(subject)) return;
    const { kind, name } = partsOf(subject);
    const source: Source | null =
      this.#wanted[kind === "scripts" ? "script" : "module"].get(name) ?? null;
    const reason = this.#refusals.add(subject, source?.version ?? null, fault);
    if (reason !== null) this.#serving.refused(subject, source, reason);
  }
}
