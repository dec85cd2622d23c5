/** Gateways, an ACME authority and what they keep in Consul, for the suites about certificates by ACME. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Status } from "../../gateway/primary/index.ts";
import type { AuthorityUnderTest } from "../support/acme/authority.ts";
import type { ConsulKind } from "../support/consul.ts";
import { TestGateway } from "../support/gateway.ts";
import { type Handshake, shakeHands } from "../support/https.ts";
import { Scene } from "./scene.ts";

type AcmeHost = NonNullable<Status["acme"]>["hosts"][number];

/** Seals the private keys. */
export const sealingKey = Buffer.alloc(32, 5);

export interface AcmeGatewayOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the scene's. */
  readonly consul?: string;
}

export class AcmeScene {
  readonly scene: Scene;
  readonly #directory: string;

  private constructor(scene: Scene, directory: string) {
    this.scene = scene;
    this.#directory = directory;
  }

  static async open(kind: ConsulKind): Promise<AcmeScene> {
    const scene = await Scene.open(kind);
    return new AcmeScene(scene, await mkdtemp(join(tmpdir(), "sluice-acme-")));
  }

  /** Ends the gateways of a test, and removes what they have kept. */
  async endTest(): Promise<void> {
    await this.scene.endTest();
    for (const folder of ["acme", "certificates", "hosts/sub"])
      await fetch(`${this.scene.consul.url}/v1/kv/sluice/${folder}?recurse`, { method: "DELETE" });
  }

  async close(): Promise<void> {
    await this.scene.close();
    await rm(this.#directory, { recursive: true });
  }

  /** Starts a gateway that orders from the authority; it is stopped at the end of the test. */
  async start(
    authority: AuthorityUnderTest,
    flags: readonly string[] = [],
    { env = {}, consul = this.scene.consul.url }: AcmeGatewayOptions = {},
  ): Promise<TestGateway> {
    const file = join(this.#directory, "ca.pem");
    await writeFile(file, authority.ca);
    const all = ["--https", "127.0.0.1:0", "--acme-directory", authority.directory];
    const gateway = await TestGateway.start({
      consul,
      flags: [...all, "--acme-ca-file", file, "--acme-email", "ops@example.com", ...flags],
      env: { SLUICE_CERTIFICATE_KEY: sealingKey.toString("base64"), ...env },
    });
    this.scene.later(() => gateway.stop());
    authority.asksAt({ http: gateway.httpPort, https: gateway.portAt(1) });
    return gateway;
  }

  /** What a gateway says about a host, once it says what is wanted. */
  async hostWhen(
    gateway: TestGateway,
    host: string,
    holds: (one: AcmeHost) => boolean,
  ): Promise<AcmeHost> {
    const found = ({ acme }: Status) =>
      acme?.hosts.find((one) => one.host === host && holds(one)) ?? null;
    const status = await gateway.statusWhen(`${host} is as wanted`, (one) => found(one) !== null);
    return found(status) as AcmeHost;
  }

  /** What a gateway says once it has a certificate for the host. Its workers get it a moment later. */
  issued(gateway: TestGateway, host: string): Promise<AcmeHost> {
    return this.hostWhen(
      gateway,
      host,
      ({ state, expires }) => state === "issued" && expires !== null,
    );
  }

  /** The keys in a folder below `sluice/`. */
  async keys(folder: string): Promise<readonly string[]> {
    const answer = await fetch(`${this.scene.consul.url}/v1/kv/sluice/${folder}?keys`);
    return answer.status === 404 ? [] : ((await answer.json()) as readonly string[]);
  }

  /** The value at a key below `sluice/`; `null`: there is none. */
  async textAt(key: string): Promise<string | null> {
    const answer = await fetch(`${this.scene.consul.url}/v1/kv/sluice/${key}?raw`);
    return answer.ok ? await answer.text() : null;
  }

  shake(gateway: TestGateway, servername: string): Promise<Handshake> {
    return shakeHands({ port: gateway.portAt(1), servername, rejectUnauthorized: false });
  }
}
