/** A worker's rooms without the worker: an engine, a gateway, a router and a sandbox, on real sockets. */
import { PeerBook } from "../../gateway/balancing/index.ts";
import { parseHostDocument, parseUpstreamDocument } from "../../gateway/documents/index.ts";
import type { Engine } from "../../gateway/engine/engine.ts";
import {
  emptyTables,
  type Json,
  type ScriptReport,
  type TenantPolicy,
} from "../../gateway/model/index.ts";
import { createLogger } from "../../gateway/observability/logger.ts";
import { Traffic } from "../../gateway/observability/traffic.ts";
import { source } from "../../gateway/sandbox/fixtures/test-sandbox.ts";
import { createSandbox, type Sandbox } from "../../gateway/sandbox/index.ts";
import { type PhasesOf, Router } from "../../gateway/sites/index.ts";
import { createEngine } from "../../gateway/worker/engine-choice.ts";
import { FailureLog } from "../../gateway/worker/failure-log.ts";
import { Gateway } from "../../gateway/worker/gateway.ts";
import { HiddenServices } from "../../gateway/worker/hidden-services.ts";
import { type ClientAnswer, openClient, requestBytes } from "./client.ts";
import type { EngineKind } from "./engines.ts";
import { type Origin, type OriginRequest, ok, startOrigin } from "./origin.ts";

type Named<T> = Readonly<Record<string, T>>;

export interface RoomsOptions {
  readonly engine: EngineKind;
  /** Each is an origin that answers its own name. */
  readonly upstreams: readonly string[];
  /** Host documents: the upstream of every path. */
  readonly hosts: Named<string>;
  readonly scripts: Named<string>;
  readonly modules?: Named<string>;
  readonly settings?: Named<Json>;
  /** Default: there is one tenant. */
  readonly tenants?: TenantPolicy;
  /** Default: nothing takes part but scripts. */
  readonly phasesOf?: PhasesOf;
}

export interface RoomsAnswer {
  readonly status: number;
  readonly body: string;
  readonly answer: ClientAnswer;
}

export class Rooms {
  readonly origins: ReadonlyMap<string, Origin>;
  readonly #engine: Engine;
  readonly #sandbox: Sandbox;
  readonly #port: number;

  private constructor(
    origins: ReadonlyMap<string, Origin>,
    engine: Engine,
    sandbox: Sandbox,
    port: number,
  ) {
    this.origins = origins;
    this.#engine = engine;
    this.#sandbox = sandbox;
    this.#port = port;
  }

  static async open(options: RoomsOptions): Promise<Rooms> {
    const tables = emptyTables();
    const origins = new Map<string, Origin>();
    for (const name of options.upstreams) {
      const origin = await startOrigin(ok(name));
      origins.set(name, origin);
      const text = JSON.stringify({ servers: [{ host: "127.0.0.1", port: origin.port }] });
      tables.upstream.set(name, parseUpstreamDocument(`upstreams/${name}`, text));
    }
    for (const [host, upstream] of Object.entries(options.hosts)) {
      const text = JSON.stringify({ paths: { "/": upstream } });
      tables.host.set(host, parseHostDocument(`hosts/${host}`, text));
    }
    for (const [host, text] of Object.entries(options.scripts))
      tables.script.set(host, source(text));
    for (const [name, text] of Object.entries(options.modules ?? {}))
      tables.module.set(name, source(text));
    for (const [name, value] of Object.entries(options.settings ?? {}))
      tables.setting.set(name, value);
    const log = createLogger({ name: "test", level: "fatal" });
    const now = () => performance.now();
    // Machines that run tests are busy: a good script must not fail for that.
    const sandbox = createSandbox({
      limits: { memoryMb: 16, callTimeoutMs: 1_000 },
      log: () => {},
      tenants: options.tenants ?? null,
    });
    sandbox.apply(tables);
    let engine: Engine | null = null;
    const book = new PeerBook({ onRetired: (peer) => engine?.retire(peer) });
    const handler = new Gateway({
      router: Router.build(
        tables,
        book,
        {
          ...{ random: Math.random, now, scripts: sandbox.hosts },
          ...(options.phasesOf === undefined ? {} : { phasesOf: options.phasesOf }),
        },
        null,
      ),
      sandbox,
      log,
      failures: new FailureLog(log, now),
      hidden: new HiddenServices(log, now),
      exposes: ["documents"],
      accessLog: null,
      traffic: new Traffic(),
      now,
      watchTimeoutMs: 1_000,
      askForService: () => {},
    });
    const onError = (error: unknown) => {
      throw error;
    };
    engine = createEngine(options.engine, { handler, idPrefix: "test", onError });
    const { port } = await engine.listen({ host: "127.0.0.1", port: 0 });
    return new Rooms(origins, engine, sandbox, port);
  }

  readonly ask = async (host: string, path = "/"): Promise<RoomsAnswer> => {
    const client = await openClient(this.#port);
    try {
      const answer = await client.request(requestBytes(`GET ${path}`, [`Host: ${host}`]));
      return { status: answer.status, body: answer.body.toString(), answer };
    } finally {
      client.close();
    }
  };

  /** Requests that reached the origin of an upstream. */
  requests(upstream: string): readonly OriginRequest[] {
    return this.origins.get(upstream)?.requests ?? [];
  }

  report(host: string): ScriptReport {
    const report = this.#sandbox.reports().find((one) => one.host === host);
    if (report === undefined) throw new Error(`there is no script of ${host}`);
    return report;
  }

  async close(): Promise<void> {
    await this.#engine.drain(0);
    for (const origin of this.origins.values()) await origin.close();
    this.#sandbox.dispose();
  }
}
