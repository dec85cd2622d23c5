/** What clients over TLS meet: the same requests and answers, with a handshake in front. */
import { once } from "node:events";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { text as readText } from "node:stream/consumers";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { TlsEndpoint } from "../../gateway/engine/listening/tls-endpoint.ts";
import type { ListenerTls } from "../../gateway/engine/tls.ts";
import { TestAuthority, type TestCertificate } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { describeEngines } from "../support/engines.ts";
import { ok } from "../support/http.ts";

const authority = new TestAuthority();
const pair = ({ cert, key }: TestCertificate) => ({ chain: cert, key });

/** One certificate for whoever asks for `a.example`. */
function oneHost(certificates: readonly TestCertificate[]): ListenerTls {
  const endpoint = new TlsEndpoint({
    pairs: certificates.map(pair),
    profile: "intermediate",
    protocols: ["h2", "http/1.1"],
    tickets: () => [],
    clients: null,
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
  const listen = async (tls: ListenerTls) => {
    const origin = await bench.origin(ok());
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

  it("answers garbage with an end, and counts it", async () => {
    const { gateway } = await listen(oneHost(certificates));
    const socket = connectTcp({ host: "127.0.0.1", port: gateway.port });
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await once(socket, "close");
    expect(gateway.engine.stats().refused.bad_hello).to.equal(1);
  });
});
