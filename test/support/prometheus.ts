/** A real Prometheus for tests: it scrapes what it is told every 1.5 seconds, and answers queries. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { eventually } from "./registered.ts";

/** One series of an answer. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value: readonly [number, string];
    }[];
  };
}

/** Another process may take the port between the look for a free one and the start. */
const attempts = 3;

/** The path of `prometheus`, or `null`. Throws when it or `promtool` is missing and SLUICE_REQUIRE_REAL=1. */
export function findPrometheus(): string | null {
  const prometheus = findProgram("prometheus");
  if (prometheus !== null && findProgram("promtool") !== null) return prometheus;
  if (process.env.SLUICE_REQUIRE_REAL === "1")
    throw new Error("no Prometheus for tests (node tools/real-parts.mjs installs it)");
  return null;
}

/** What `promtool check metrics` says of a text; empty when it has nothing to say against it. */
export function checkMetrics(text: string): Promise<string> {
  return promtool(["check", "metrics"], text);
}

/** What `promtool check rules` says of a file of rules. */
export async function checkRules(text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "sluice-rules-"));
  const file = join(directory, "rules.yml");
  try {
    await writeFile(file, text);
    return await promtool(["check", "rules", file], "");
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function promtool(args: readonly string[], input: string): Promise<string> {
  const child = spawn(findProgram("promtool") ?? "promtool", args, {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  child.stdin.end(input);
  const said = await Promise.all([readText(child.stdout), readText(child.stderr)]);
  const [status] = await closed;
  return status === 0 ? said.join("") : `status ${status}: ${said.join("")}`;
}

export class TestPrometheus {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #url: string;
  #log = "";

  private constructor(child: ChildProcess, directory: string, port: number) {
    this.#child = child;
    this.#directory = directory;
    this.#url = `http://127.0.0.1:${port}`;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        this.#log = (this.#log + chunk).slice(-20_000);
      });
  }

  /** Scrapes `/metrics` of this port of 127.0.0.1. */
  static async start(target: number): Promise<TestPrometheus> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await TestPrometheus.#startOnce(target);
      } catch (error) {
        if (attempt === attempts) throw error;
      }
    }
  }

  static async #startOnce(target: number): Promise<TestPrometheus> {
    const directory = await mkdtemp(join(tmpdir(), "sluice-prometheus-"));
    const config = {
      global: { scrape_interval: "1500ms", scrape_timeout: "1500ms" },
      scrape_configs: [
        { job_name: "sluice", static_configs: [{ targets: [`127.0.0.1:${target}`] }] },
      ],
    };
    const file = join(directory, "prometheus.json");
    // Every JSON text is a YAML text.
    await writeFile(file, JSON.stringify(config));
    const port = await freePort();
    const args = [`--config.file=${file}`, `--storage.tsdb.path=${join(directory, "data")}`];
    const listen = `--web.listen-address=127.0.0.1:${port}`;
    const child = spawn(findPrometheus() ?? "prometheus", [...args, listen], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const prometheus = new TestPrometheus(child, directory, port);
    try {
      await eventually("Prometheus is ready", async () => {
        if (child.exitCode !== null) return;
        const { ok } = await fetch(`${prometheus.#url}/-/ready`);
        if (!ok) throw new Error(prometheus.#log);
      });
      if (child.exitCode !== null) throw new Error(`Prometheus has ended: ${prometheus.#log}`);
    } catch (error) {
      await prometheus.stop();
      throw error;
    }
    return prometheus;
  }

  /** The series that an instant query gives. */
  async query(expression: string): Promise<readonly Series[]> {
    const query = new URLSearchParams({ query: expression });
    const answer = await fetch(`${this.#url}/api/v1/query?${query}`);
    const body = (await answer.json()) as QueryAnswer;
    if (body.status !== "success") throw new Error(body.error);
    return body.data.result.map(({ metric, value: [, value] }) => ({
      labels: metric,
      value: Number(value),
    }));
  }

  /** The value of a query that gives one series; 0 when it gives none. */
  async value(expression: string): Promise<number> {
    const [series, ...more] = await this.query(expression);
    if (more.length > 0) throw new Error(`${expression} gives ${more.length + 1} series`);
    return series?.value ?? 0;
  }

  /** Why it cannot scrape its target; empty when it can. */
  async scrapeError(): Promise<string> {
    const answer = await fetch(`${this.#url}/api/v1/targets`);
    const { data } = (await answer.json()) as {
      readonly data: { readonly activeTargets: readonly { readonly lastError: string }[] };
    };
    return data.activeTargets.map(({ lastError }) => lastError).join();
  }

  /** Ends it and removes its data. May be called twice. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const closed = once(this.#child, "close");
      this.#child.kill("SIGKILL");
      await closed;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}
