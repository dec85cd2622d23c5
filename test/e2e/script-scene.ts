/** What the suites of scripts share: two gateways with one Consul, and what an operator does and sees there. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { versionOf } from "../../gateway/model/index.ts";
import type { Status } from "../../gateway/primary/index.ts";
import type { History } from "../../gateway/releases/index.ts";
import type { ConsulKind } from "../support/consul.ts";
import { type GatewayAnswer, runSluice, TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

type ReleaseStatus = Status["scripts"][0]["life"];

/** A script that answers with this text. */
export const says = (text: string, more = "") =>
  `${more}\nexport default () => respond({ body: "${text}" });`;
/** The same, failing for every request whose path is /fail. */
export const failsAt = (text: string, more = "") => `${more}
  export default function (request) {
    if (request.path === "/fail") throw new Error("${text} is broken");
    return respond({ body: "${text}" });
  }`;
export const says200 = (text: string) => (answer: GatewayAnswer) =>
  expect(answer).to.include({ status: 200, body: text });

export class ScriptScene {
  readonly #kind: ConsulKind;
  readonly #flags: readonly string[];
  #running: {
    readonly scene: Scene;
    readonly gateways: readonly TestGateway[];
    readonly folder: string;
  } | null = null;
  #hosts = 0;

  /**
   * Opens and ends with the tests of the suite that it is made in.
   * @param flags of the gateways. Default: a machine that is busy is no reason for a script to fail.
   */
  constructor(kind: ConsulKind, flags: readonly string[] = ["--script-timeout", "1s"]) {
    this.#kind = kind;
    this.#flags = flags;
    before(() => this.#open());
    afterEach(() => this.#running?.scene.endTest());
    after(() => this.#close());
  }

  get scene(): Scene {
    return this.#parts.scene;
  }

  get gateways(): readonly TestGateway[] {
    return this.#parts.gateways;
  }

  /** Where the test may write files. */
  get folder(): string {
    return this.#parts.folder;
  }

  /** One more, on the same Consul, once it knows what serves each host. */
  async start(): Promise<TestGateway> {
    const gateway = await TestGateway.start({ consul: this.scene.consul.url, flags: this.#flags });
    try {
      await gateway.statusWhen("every script is examined", ({ scripts }) =>
        scripts.every(({ outOfService }) => outOfService !== "not examined yet"),
      );
      await gateway.caughtUp();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  /** Puts another one into the place of this one of the two. */
  async restart(gateway: TestGateway): Promise<TestGateway> {
    await gateway.stop();
    const again = await this.start();
    const gateways = this.gateways.map((one) => (one === gateway ? again : one));
    this.#running = { ...this.#parts, gateways };
    return again;
  }

  newHost(): string {
    this.#hosts += 1;
    return `s${this.#hosts}.example`;
  }

  /** `sluice script ...` */
  script(...args: readonly string[]) {
    const waits = ["push", "rollback", "remove"].includes(args[0] ?? "");
    // On a busy machine the gateways may take longer than the command waits by itself.
    const patience = waits && !args.includes("--timeout") ? ["--timeout", "60s"] : [];
    return runSluice(["script", ...args, ...patience, "--consul", this.scene.consul.url]);
  }

  file(name: string, text: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  push(host: string, text: string, name = "rule.js") {
    return this.script("push", this.file(name, text), "--host", host, "--by", "ada");
  }

  put(host: string, text: string): Promise<void> {
    return this.scene.writes.put(`scripts/${host}`, text);
  }

  ask(gateway: TestGateway, host: string, user = "ada", path = "/"): Promise<GatewayAnswer> {
    return gateway.request({ host, path, headers: { "x-user": user } });
  }

  /**
   * Has a script fail on a gateway until the gateway's status has found out. The errors must come within the window in
   * which they are counted, whatever keeps this process in between.
   * @param fail a request that fails, or its path.
   */
  async failUntil(
    gateway: TestGateway,
    host: string,
    fail: string | (() => Promise<unknown>),
    hasFoundOut: (life: ReleaseStatus) => boolean,
  ): Promise<void> {
    await eventually("the gateway has found out that it fails", async () => {
      await (typeof fail === "string" ? this.ask(gateway, host, "ada", fail) : fail());
      const life = (await this.statusOf(gateway, host))?.life;
      if (life === undefined || !hasFoundOut(life)) throw new Error(JSON.stringify(life));
    });
  }

  /** Each gateway answers with this, again and again. */
  async answers(host: string, body: string): Promise<void> {
    for (const gateway of this.gateways) {
      for (let each = 0; each < 4; each += 1) {
        expect((await gateway.request({ host })).body).to.equal(body);
      }
    }
  }

  /** On every gateway, until `accept` does not throw for its answer, and every worker has what one of them has. */
  async everywhere(
    what: string,
    host: string,
    accept: (answer: GatewayAnswer) => void,
  ): Promise<void> {
    const each = this.gateways.map(async (gateway) => {
      await eventually(what, async () => accept(await this.ask(gateway, host)));
      await gateway.caughtUp();
    });
    await Promise.all(each);
  }

  /** Until this text is the script in every worker of both. */
  async hasEverywhere(host: string, text: string): Promise<void> {
    for (const gateway of this.gateways) {
      await eventually("it is live", async () =>
        expect((await this.statusOf(gateway, host))?.version).to.equal(versionOf(text)),
      );
      await gateway.caughtUp();
    }
  }

  /** The JSON of a key; `null`: there is none. */
  async key(name: string): Promise<unknown> {
    const answer = await fetch(`${this.scene.consul.url}/v1/kv/sluice/${name}?raw`);
    return answer.status === 404 ? null : JSON.parse(await answer.text());
  }

  async historyOf(host: string): Promise<History> {
    const history = (await this.key(`history/scripts/${host}`)) as { versions: History } | null;
    return history?.versions ?? [];
  }

  async outcomes(host: string): Promise<readonly string[]> {
    return (await this.historyOf(host)).map(({ outcome }) => outcome);
  }

  /** Until these are the outcomes of its versions, the latest first: gateways serve before Consul has their word. */
  async comesTo(host: string, ...outcomes: readonly string[]): Promise<void> {
    await eventually("the history says so", async () =>
      expect(await this.outcomes(host)).to.deep.equal(outcomes),
    );
  }

  /** The same as a command shows it, of a module. */
  async moduleComesTo(name: string, ...outcomes: readonly string[]): Promise<void> {
    await eventually("the history says so", async () => {
      const { stdout } = await this.script("history", name, "--module");
      const shown = [...stdout.matchAll(/ (pushed|live|replaced) /g)].map(([, outcome]) => outcome);
      expect(shown).to.deep.equal(outcomes);
    });
  }

  async statusOf(gateway: TestGateway, host: string): Promise<Status["scripts"][0] | undefined> {
    return (await gateway.status()).scripts.find((script) => script.host === host);
  }

  get #parts() {
    if (this.#running === null) throw new Error("the scene is not open");
    return this.#running;
  }

  async #open(): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "sluice-scripts-"));
    const scene = await Scene.open(this.#kind);
    const gateways: TestGateway[] = [];
    this.#running = { scene, gateways, folder };
    const start = async () => void gateways.push(await this.start());
    // What has been started must not outlive a failure: the test run would wait for it for ever.
    throwFirst(await Promise.allSettled([start(), start()]));
    await eventually("both are registered", async () => {
      const { stdout } = await this.script("status");
      expect(stdout.match(/^gateway /gm)).to.have.lengthOf(2);
    });
  }

  async #close(): Promise<void> {
    if (this.#running === null) return;
    const { scene, gateways, folder } = this.#running;
    const ends = await Promise.allSettled(gateways.map((gateway) => gateway.stop()));
    await scene.close();
    rmSync(folder, { recursive: true, force: true });
    throwFirst(ends);
  }
}

function throwFirst(outcomes: readonly PromiseSettledResult<unknown>[]): void {
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
