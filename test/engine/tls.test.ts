/** What clients over TLS meet: the same requests and answers, with a handshake in front. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:https";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { text as readText } from "node:stream/consumers";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TlsEndpoint } from "../../gateway/engine/listening/tls-endpoint.ts";
import type { ListenerTls } from "../../gateway/engine/tls.ts";
import { TestAuthority, type TestCertificate } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { describeEngines } from "../support/engines.ts";
import { ok } from "../support/http.ts";
import { shakeHands, ticketOf } from "../support/https.ts";
import type { OriginScript } from "../support/origin.ts";

const authority = new TestAuthority();
const pair = ({ cert, key }: TestCertificate) => ({ chain: cert, key });

const alertRecord = 21;

/** The types of the records of a connection (RFC 8446 section 5.1). */
class RecordTypes {
  readonly #types: number[];
  #bytes: Buffer = Buffer.alloc(0);

  constructor(types: number[]) {
    this.#types = types;
  }

  take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 5) {
      const whole = 5 + this.#bytes.readUInt16BE(3);
      if (this.#bytes.length < whole) return;
      this.#types.push(this.#bytes[0] ?? 0);
      this.#bytes = this.#bytes.subarray(whole);
    }
  }
}

/** One certificate for whoever asks for `a.example`. */
function oneHost(certificates: readonly TestCertificate[]): ListenerTls {
  const endpoint = new TlsEndpoint({
    pairs: certificates.map(pair),
    profile: "intermediate",
    protocols: ["h2", "http/1.1"],
    tickets: () => [],
    clients: null,
    now: Date.now,
    identity: "a.example",
  });
  return {
    choose: ({ name }) =>
      name === "a.example"
        ? { endpoint, clientRule: "", covers: (host) => host === "a.example" }
        : null,
  };
}

describeEngines("https", (bench) => {
  const listen = async (tls: ListenerTls, script: OriginScript = ok()) => {
    const origin = await bench.origin(script);
    const seen: unknown[] = [];
    const gateway = await bench.gateway(origin, {
      listeners: [{ tls }],
      hooks: {
        onRequest: ({ scheme, tls: client, host }) =>
          void seen.push([scheme, client?.serverName, client?.version, client?.covers(host)]),
      },
    });
    return { origin, gateway, seen };
  };

  const ask = async (port: number, options: ConnectionOptions) => {
    const outgoing = request({
      ...{ host: "127.0.0.1", port, servername: "a.example", ca: authority.cert, agent: false },
      headers: { host: "a.example" },
      ...options,
    });
    outgoing.end();
    const [answer] = await once(outgoing, "response");
    return { status: answer.statusCode as number, body: await readText(answer) };
  };

  const certificates = [
    authority.issue({ names: ["a.example"] }),
    authority.issue({ names: ["a.example"], type: "rsa" }),
  ];

  it("is decrypted, and the origin and the handler are told so", async () => {
    const { origin, gateway, seen } = await listen(oneHost(certificates));
    expect((await ask(gateway.port, {})).status).to.equal(200);
    expect(seen).to.deep.equal([["https", "a.example", "TLSv1.3", true]]);
    expect(origin.requests[0]?.headers).to.deep.include(["X-Forwarded-Proto", "https"]);
  });

  it("has a certificate for clients that know RSA alone, and one for the others", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const typeFor = async (sigalgs: string) => {
      const socket = connect({
        ...{ host: "127.0.0.1", port: gateway.port, servername: "a.example" },
        ...{ ca: authority.cert, sigalgs },
      });
      await once(socket, "secureConnect");
      const type = socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType;
      socket.destroy();
      return type;
    };
    expect(await typeFor("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256")).to.equal("ec");
    // The authority's own signature is ECDSA.
    expect(await typeFor("rsa_pss_rsae_sha256:ecdsa_secp521r1_sha512")).to.equal("rsa");
  });

  it("ends with unrecognized_name where nobody has a certificate for the name", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const socket: TLSSocket = connect({
      ...{ host: "127.0.0.1", port: gateway.port, servername: "b.example" },
      ca: authority.cert,
    });
    const [error] = await once(socket, "error");
    expect(error.code).to.equal("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    await until("it is counted", () => gateway.engine.stats().refused.unrecognized_name === 1);
  });

  it("has one handshake, and no client of TLS 1.2 gets another one on its connection", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const socket = connect({
      ...{ host: "127.0.0.1", port: gateway.port, servername: "a.example" },
      ...{ ca: authority.cert, maxVersion: "TLSv1.2" },
    });
    await once(socket, "secureConnect");
    socket.renegotiate({}, () => {});
    const [error] = await once(socket, "error");
    expect(error.code).to.equal("ERR_SSL_NO_RENEGOTIATION");
    socket.destroy();
  });

  it("is over when a client goes in the middle of the handshake", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const socket = connect({
      ...{ host: "127.0.0.1", port: gateway.port, servername: "a.example" },
      ca: authority.cert,
    });
    await once(socket, "secureConnect");
    // The gateway has not read the client's last message yet.
    socket.destroy();
    await until("it is gone", () => gateway.engine.stats().clientConnections === 0);
  });

  for (const isWhole of [true, false])
    it(`${isWhole ? "ends" : "does not end"} with close_notify when the answer is ${isWhole ? "whole" : "cut"}`, async () => {
      const { origin, gateway } = await listen(oneHost(certificates), () => {});
      const records: number[] = [];
      const relay = createServer((client) => {
        const onward = connectTcp({ host: "127.0.0.1", port: gateway.port });
        const reader = new RecordTypes(records);
        for (const socket of [client, onward]) socket.on("error", () => {});
        client.pipe(onward);
        onward.on("data", (chunk: Buffer) => {
          reader.take(chunk);
          client.write(chunk);
        });
        onward.on("close", () => client.destroy());
      });
      relay.listen(0, "127.0.0.1");
      await once(relay, "listening");
      bench.later(() => void relay.close());
      // In TLS 1.2 it shows on the wire what a record is.
      const socket = connect({
        ...{ host: "127.0.0.1", port: (relay.address() as AddressInfo).port },
        ...{ servername: "a.example", ca: authority.cert, maxVersion: "TLSv1.2" },
      });
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
      });
      socket.write("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
      await until("the request is there", () => origin.requests.length === 1);
      const [peer] = origin.connections;
      peer?.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
      await until("the answer has begun", () => text.endsWith("hello"));
      if (isWhole) peer?.send("0\r\n\r\n");
      else peer?.socket.destroy();
      await new Promise<void>((closed) => void socket.once("close", () => closed()));
      expect(records.includes(alertRecord)).to.equal(isWhole);
    });

  describe("with client certificates", () => {
    const dayMs = 86_400_000;
    const clients = new TestAuthority("Clients");
    const [serverCertificate] = certificates;
    if (serverCertificate === undefined) throw new Error("there is no certificate");
    const tickets = Array.from({ length: 3 }, () => randomBytes(48).toString("base64"));

    /** `now`: what the endpoint takes for the time. OpenSSL itself looks at the system's. */
    const asking = (isRequired: boolean, now: () => number): ListenerTls => {
      const endpoint = new TlsEndpoint({
        pairs: [pair(serverCertificate)],
        profile: "intermediate",
        protocols: ["http/1.1"],
        tickets: () => tickets,
        clients: { isRequired, authorities: clients.cert },
        now,
        identity: "a.example",
      });
      return { choose: () => ({ endpoint, clientRule: "clients", covers: () => true }) };
    };

    const sessionOf = (port: number, options: Omit<ConnectionOptions, "port">) =>
      ticketOf({ port, servername: "a.example", ca: authority.cert, ...options });
    const isResumed = async (port: number, options: Omit<ConnectionOptions, "port">) => {
      const handshake = shakeHands({
        ...{ port, servername: "a.example", ca: authority.cert },
        ...options,
      });
      return (await handshake).isResumed;
    };

    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const versions = { minVersion: version, maxVersion: version };

      for (const [whose, days] of [
        ["client's certificate", 90],
        ["authority's certificate", 500],
      ] as const)
        it(`resumes no session of ${version} when the ${whose} has expired since`, async () => {
          let later = 0;
          const { gateway } = await listen(asking(true, () => Date.now() + later));
          const { port } = gateway;
          const until = Date.now() + days * dayMs;
          const shown = { ...clients.issue({ names: ["alice"], until }), ...versions };
          const session = await sessionOf(port, shown);
          expect(await isResumed(port, { ...versions, session })).to.equal(true);
          later = 400 * dayMs;
          expect(await isResumed(port, { ...shown, session })).to.equal(false);
          // The certificate is asked for, so whoever has it no longer is not served.
          const answer = ask(port, { ...versions, session });
          expect(await answer.catch(() => "refused")).to.equal("refused");
        });

      it(`ends a connection of ${version} that was resumed although the certificate has expired`, async () => {
        let isOver = false;
        const times: number[] = [];
        const { gateway } = await listen(
          asking(true, () => (isOver ? (times.shift() ?? Number.POSITIVE_INFINITY) : Date.now())),
        );
        const { port } = gateway;
        const shown = clients.issue({ names: ["alice"] });
        const session = await sessionOf(port, { ...shown, ...versions });
        isOver = true;
        // In time for the hello, and too late for what comes after it.
        times.push(Date.now());
        expect(await ask(port, { ...versions, session }).catch(() => "refused")).to.equal(
          "refused",
        );
        await until("it is counted", () => gateway.engine.stats().refused.tls_failed === 1);
      });

      it(`resumes a session of ${version} whose client showed no certificate`, async () => {
        const { gateway } = await listen(asking(false, () => Date.now() + 1_000 * dayMs));
        const session = await sessionOf(gateway.port, versions);
        expect(await isResumed(gateway.port, { ...versions, session })).to.equal(true);
      });
    }
  });

  it("answers garbage with an end, and counts it", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const socket = connectTcp({ host: "127.0.0.1", port: gateway.port });
    socket.on("error", () => {});
    socket.write("nonsense\r\n\r\n");
    await once(socket, "close");
    expect(gateway.engine.stats().refused.bad_hello).to.equal(1);
  });

  it("tells a client that speaks HTTP in clear what is wrong", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const socket = connectTcp({ host: "127.0.0.1", port: gateway.port });
    socket.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    const answer = await readText(socket);
    expect(answer)
      .to.match(/^HTTP\/1\.1 400 /)
      .and.to.include("tls_expected");
    expect(answer).to.include("https");
    expect(gateway.engine.stats().refused).to.deep.equal({ tls_expected: 1 });
  });
});
