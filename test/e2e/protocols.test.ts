/**
 * One suite for every protocol: whatever a client and its peer speak, scripts, splits, retries, cookies, bodies, the access log
 * and the metrics are the same.
 */
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { TestAuthority } from "../support/certificates.ts";
import { consulKinds } from "../support/consul.ts";
import type { GatewayAnswer } from "../support/gateway.ts";
import {
  clientNames,
  type PeerProtocol,
  type ProtocolClient,
  peerProtocols,
  protocolClient,
  type Seen,
  startProtocolPeer,
} from "../support/protocol-pairs.ts";
import { eventually } from "../support/registered.ts";
import { refusingPeer } from "../support/unreachable.ts";
import { Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");

const authority = new TestAuthority();
const certificate = authority.issue({ names: ["*.example", "inner.test"] });
const versions: Readonly<Record<PeerProtocol, string>> = {
  ...{ http1: "1.1", https: "1.1", h2c: "2.0", h2: "2.0" },
};
const hostOf = (protocol: PeerProtocol) => `${protocol}.example`;
const clientsAuthority = new TestAuthority("Clients");
const alice = clientsAuthority.issue({ names: ["alice"] });
const fingerprint = new X509Certificate(alice.cert).fingerprint256
  .replaceAll(":", "")
  .toLowerCase();
/** More than one frame, one read and one window of a stream. */
const large = "0123456789abcdef".repeat(20_000);

const script = `
  export const match = { paths: ["/script", "/denied"] };
  export default function (request) {
    if (request.path === "/denied") return deny(403, "closed");
    request.path = "/v2" + request.path;
    request.headers.set("x-user", "ada");
    request.headers.delete("x-secret");
    const subject = request.headers.get("x-client-cert-subject");
    request.headers.set("x-seen", request.scheme + " " + (subject || "nobody"));
  }
  export function onResponse(response) {
    response.headers.set("x-script", String(response.status));
  }
`;

/** A request, and what everybody is to see of it. */
interface Step {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status: number;
  /** The last part of the upstream's name, behind the protocol; `null`: it goes nowhere. */
  readonly upstream: string | null;
  readonly tries?: number;
  /** In the access log. */
  readonly error?: string;
  /** As the log has it, after the script. */
  readonly target?: string;
}

const steps: readonly Step[] = [
  { path: "/plain?a=1", status: 200, upstream: "one" },
  {
    ...{ path: "/script/x", headers: { "x-secret": "s" }, target: "/v2/script/x" },
    ...{ status: 200, upstream: "one" },
  },
  { path: "/denied", status: 403, upstream: null },
  { path: "/split", headers: { "x-side": "two" }, status: 200, upstream: "two" },
  { path: "/split", status: 200, upstream: "one" },
  { path: "/sick", status: 200, upstream: "sick", tries: 2 },
  { path: "/sick", method: "POST", body: "once", status: 503, upstream: "sick" },
  { path: "/refusing", method: "POST", body: "any", status: 200, upstream: "refusing", tries: 2 },
  { path: "/dead", status: 502, upstream: "dead", error: "connect_failed" },
  { path: "/echo", method: "POST", body: large, status: 200, upstream: "one" },
  { path: "/plain", method: "HEAD", status: 200, upstream: "one" },
];

const seenIn = ({ body }: GatewayAnswer) => JSON.parse(body) as Seen;

describe("a gateway between clients and peers of all protocols", function () {
  this.timeout(300_000);
  let scene: Scene;
  let directory: string;
  let log: string;
  const clients = new Map<string, ProtocolClient>();
  const closing: (() => void)[] = [];

  before(async () => {
    scene = await Scene.open(embedded);
    directory = await mkdtemp(join(tmpdir(), "sluice-protocols-"));
    log = join(directory, "access.log");
    await writeFile(join(directory, "edge.crt"), certificate.cert);
    await writeFile(join(directory, "edge.key"), certificate.key);
    await scene.writes.put("certificates/inner-ca", { authorities: authority.cert });
    await scene.writes.put("certificates/clients", { authorities: clientsAuthority.cert });
    for (const protocol of peerProtocols) await write(protocol);
    await scene.writes.put("hosts/moved.example", { paths: { "/": "home" }, redirect: "https" });
    const gateway = await scene.start({
      workers: 1,
      flags: [
        ...["--https", "127.0.0.1:0", "--certificates", directory, "--access-log", log],
        // A machine that is busy is no reason for a script to fail.
        ...["--script-timeout", "1s"],
      ],
    });
    const ports = { clear: gateway.httpPort, tls: gateway.portAt(1) };
    for (const name of clientNames) clients.set(name, protocolClient(name, ports, authority.cert));
    for (const protocol of peerProtocols)
      await eventually(`${protocol} is served`, async () => {
        const answer = await gateway.request({ host: hostOf(protocol), path: "/script/ready" });
        expect([answer.status, answer.headers["x-script"]]).to.deep.equal([200, "200"]);
        const sticky = await gateway.request({ host: hostOf(protocol), path: "/sticky" });
        expect(sticky.headers["set-cookie"]?.[0]).to.match(/^side=/);
      });
    // What was written before these, too.
    await scene.writes.put("upstreams/last.example", { servers: [scene.home.server] });
    await eventually("every upstream is known", async () =>
      expect((await gateway.request({ host: "last.example" })).status).to.equal(200),
    );
    await scene.hostsLive();
    await eventually("clients' certificates are known", async () => {
      const asked = { host: hostOf("http1"), path: "/script/who", certificate: alice };
      const { headers } = seenIn(await clientOf("HTTPS").ask(asked));
      expect(headers["x-client-cert-subject"]).to.equal("CN=alice");
    });
  });
  after(async () => {
    await scene?.close();
    for (const close of closing) close();
    await rm(directory, { recursive: true });
  });

  /** The peers of a protocol, its upstreams, its host and its script. */
  async function write(protocol: PeerProtocol): Promise<void> {
    const peerOf = async (name: string, status?: number) => {
      const peer = await startProtocolPeer(protocol, name, certificate, status);
      closing.push(() => peer.close());
      return { ...peer.server, max_fails: 0 };
    };
    const reached = {
      ...(protocol === "h2" || protocol === "h2c" ? { protocol } : {}),
      ...(protocol === "h2" || protocol === "https"
        ? { tls: { server_name: "inner.test", ca: "inner-ca" } }
        : {}),
    };
    const [one, two] = [await peerOf("one"), await peerOf("two")];
    const { host, port } = refusingPeer();
    const refusing = { host, port, max_fails: 0 };
    const upstreams = {
      one: [one],
      two: [two],
      sick: [await peerOf("sick", 503), { ...one, backup: true }],
      refusing: [refusing, { ...one, backup: true }],
      dead: [refusing],
    };
    for (const [name, servers] of Object.entries(upstreams))
      await scene.writes.put(`upstreams/${protocol}-${name}`, {
        ...{ servers, next_upstream: ["http_503"], ...reached },
      });
    const to = (name: string) => `${protocol}-${name}`;
    await scene.writes.put(`hosts/${hostOf(protocol)}`, {
      paths: {
        "/": to("one"),
        ...{ "/sick": to("sick"), "/refusing": to("refusing"), "/dead": to("dead") },
        "/split": {
          split: [
            { upstream: to("one"), share: 1 },
            { upstream: to("two"), share: 0, force: { headers: { "x-side": "two" } } },
          ],
        },
        "/sticky": {
          split: { [to("one")]: 1, [to("two")]: 1 },
          sticky: { cookie: "side", to: "side" },
        },
      },
      hsts: true,
      client_certificate: { mode: "optional", ca: "clients" },
    });
    await scene.writes.put(`scripts/${hostOf(protocol)}`, script);
  }

  /** Of requests whose User-Agent begins so. */
  async function recordsOf(
    userAgent: string,
  ): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return (await readFile(log, "utf8"))
      .split("\n")
      .filter((line) => line.includes(`"userAgent":"${userAgent}`))
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  }

  /** Counters of a host by series; what changes from run to run is left out. */
  async function counted(host: string): Promise<Readonly<Record<string, number>>> {
    const body = await eventually("the worker reports", async () => {
      const { body: text } = await scene.gateway.admin("/metrics");
      expect(text).to.match(/^sluice_unanswered_workers 0$/m);
      return text;
    });
    const found =
      /^(sluice_(?:requests|tries|request_body_bytes|response_body_bytes)_total\{.*\}) (\d+)$/gm;
    const counters: Record<string, number> = {};
    for (const [, series = "", value] of body.matchAll(found))
      if (series.includes(`host="${host}"`)) counters[series] = Number(value);
    return counters;
  }

  const clientOf = (name: string) => {
    const client = clients.get(name);
    if (client === undefined) throw new Error(`no client ${name}`);
    return client;
  };

  for (const protocol of peerProtocols) {
    const host = hostOf(protocol);
    const counts: Readonly<Record<string, number>>[] = [];

    for (const name of clientNames) {
      it(`does the same for ${name} to ${protocol}`, async () => {
        const { ask, isTls } = clientOf(name);
        const agent = `suite-${name.replace("/", "-")}-${protocol}-`;
        const before = await counted(host);
        const answers: GatewayAnswer[] = [];
        for (const [at, { path, method = "GET", headers, body }] of steps.entries())
          answers.push(
            await ask({
              ...{ host, path, method, headers: { ...headers, "user-agent": `${agent}${at}` } },
              ...(body === undefined ? {} : { body }),
            }),
          );
        for (const [at, step] of steps.entries()) {
          const { status, headers, body } = answers[at] as GatewayAnswer;
          const what = `${step.method ?? "GET"} ${step.path}`;
          expect(status, what).to.equal(step.status);
          const isOfPeer = headers["x-peer"] !== undefined;
          expect(isOfPeer, what).to.equal(step.upstream !== null && step.error === undefined);
          expect(headers["strict-transport-security"], what).to.equal(
            isTls && isOfPeer ? "max-age=15768000" : undefined,
          );
          if (step.method === "HEAD") expect(body, what).to.equal("");
          else if (step.method === "POST") expect(body === step.body, what).to.equal(true);
          else if (status === 200) {
            const seen = JSON.parse(body) as Seen;
            expect(seen.peer, what).to.equal(step.upstream === "two" ? "two" : "one");
            expect([seen.version, seen.method], what).to.deep.equal([versions[protocol], "GET"]);
            expect(seen.url, what).to.equal(step.target ?? step.path);
            expect(seen.headers["x-forwarded-proto"], what).to.equal(isTls ? "https" : "http");
            expect(seen.headers[":authority"] ?? seen.headers.host, what).to.equal(host);
          }
        }
        const scripted = answers[1] as GatewayAnswer;
        expect(scripted.headers["x-script"]).to.equal("200");
        expect(seenIn(scripted).headers).to.include({ "x-user": "ada" });
        expect(seenIn(scripted).headers).to.not.have.property("x-secret");
        expect(answers[2]?.body).to.contain("closed");

        const records = await eventually("the log has all of it", async () => {
          const found = await recordsOf(agent);
          expect(found).to.have.length(steps.length);
          return found;
        });
        for (const [at, step] of steps.entries()) {
          const { upstream, status, tries = 1, error, body, path, target = path } = step;
          // Of two that follow each other, the first may be noted second.
          const record = records.find(({ userAgent }) => userAgent === `${agent}${at}`) ?? {};
          const what = JSON.stringify(record);
          expect([record.method, record.host, record.target, record.status], what).to.deep.equal([
            ...[step.method ?? "GET", host, target, status],
          ]);
          expect(record.upstream, what).to.equal(
            upstream === null ? undefined : `${protocol}-${upstream}`,
          );
          expect([record.tries ?? 1, record.error], what).to.deep.equal([tries, error]);
          expect(record.bytesIn, what).to.equal(body?.length);
          expect(record.bytesOut, what).to.equal(answers[at]?.body.length);
          expect(record.client, what).to.equal("127.0.0.1");
        }

        const after = await counted(host);
        const grown: Record<string, number> = {};
        for (const [series, value] of Object.entries(after))
          grown[series] = value - (before[series] ?? 0);
        const total = (prefix: string) =>
          Object.entries(grown).reduce(
            (sum, [series, value]) => (series.startsWith(prefix) ? sum + value : sum),
            0,
          );
        expect(total("sluice_requests_total")).to.equal(steps.length);
        const wentOn = steps.filter(({ upstream }) => upstream !== null);
        expect(total("sluice_tries_total")).to.equal(
          wentOn.reduce((sum, { tries = 1 }) => sum + tries, 0),
        );
        expect(total("sluice_request_body_bytes_total")).to.equal(
          steps.reduce((sum, { body = "" }) => sum + body.length, 0),
        );
        expect(total("sluice_response_body_bytes_total")).to.equal(
          answers.reduce((sum, { body }) => sum + body.length, 0),
        );
        const same = Object.entries(grown).filter(
          ([series, value]) => value !== 0 && !series.includes("_bytes_"),
        );
        counts.push(Object.fromEntries(same));
        expect(counts.at(-1)).to.deep.equal(counts[0]);
      });

      it(`keeps a client on its side by a cookie for ${name} to ${protocol}`, async () => {
        const { ask } = clientOf(name);
        const agent = `sticky-${name.replace("/", "-")}-${protocol}-`;
        const asked = { host, path: "/sticky" };
        const first = await ask({ ...asked, headers: { "user-agent": agent } });
        const [cookie = ""] = (first.headers["set-cookie"]?.[0] ?? "").split(";");
        expect(cookie).to.match(/^side=/);
        for (let time = 0; time < 6; time += 1) {
          const headers = { cookie: `a=b; ${cookie}`, "user-agent": agent };
          const answer = await ask({ ...asked, headers });
          expect(seenIn(answer).peer).to.equal(seenIn(first).peer);
          expect(answer.headers["set-cookie"]).to.equal(undefined);
        }
        // What is noted late is not to be counted among what comes next.
        await eventually("the log has all of it", async () =>
          expect(await recordsOf(agent)).to.have.length(7),
        );
      });
    }
  }

  for (const protocol of peerProtocols)
    it(`tells peers and scripts of clients' certificates, and of none that a client made up, to ${protocol}`, async () => {
      const forged = { "x-client-cert-subject": "CN=root", "x-client-cert-fingerprint": "00" };
      for (const name of clientNames) {
        const { ask, isTls } = clientOf(name);
        for (const certificate of [alice, undefined]) {
          const asked = { host: hostOf(protocol), path: "/script/who", headers: forged };
          const shown = certificate === undefined ? {} : { certificate };
          const { headers } = seenIn(await ask({ ...asked, ...shown }));
          const isKnown = isTls && certificate !== undefined;
          expect(
            [
              headers["x-client-cert-subject"],
              headers["x-client-cert-fingerprint"],
              headers["x-seen"],
            ],
            name,
          ).to.deep.equal([
            ...(isKnown ? ["CN=alice", fingerprint] : [undefined, undefined]),
            `${isTls ? "https" : "http"} ${isKnown ? "CN=alice" : "nobody"}`,
          ]);
        }
      }
    });

  for (const protocol of peerProtocols)
    it(`never passes half an answer for a whole one, and notes it, from ${protocol}`, async () => {
      for (const name of clientNames) {
        const agent = `cut-${name.replace("/", "-")}-${protocol}-`;
        const asked = { host: hostOf(protocol), path: "/cut", headers: { "user-agent": agent } };
        const outcome = await clientOf(name)
          .ask(asked)
          .then(
            () => "whole",
            () => "broken",
          );
        expect(outcome, name).to.equal("broken");
        const [record] = await eventually("it is noted", async () => {
          const found = await recordsOf(agent);
          expect(found).to.have.length(1);
          return found;
        });
        expect(
          [record?.status, record?.error, record?.upstream, record?.tries],
          name,
        ).to.deep.equal([200, "truncated", `${protocol}-one`, undefined]);
      }
    });

  it("sends clients in clear to TLS, and those over TLS on", async () => {
    for (const name of clientNames) {
      const { ask, isTls } = clientOf(name);
      const { status, headers } = await ask({ host: "moved.example", path: "/a?b=c" });
      expect([name, status, headers.location]).to.deep.equal(
        isTls ? [name, 200, undefined] : [name, 308, "https://moved.example/a?b=c"],
      );
    }
  });
});
