import { expect } from "chai";
import { defaultDatagramTerms, defaultStreamTerms, noListenerLimits } from "../model/index.ts";
import { parseListenerDocument } from "./listener-document.ts";

const key = "sluice/listeners/db";
const parse = (document: object) => parseListenerDocument(key, JSON.stringify(document));
const tcp = { address: ":5432", protocol: "tcp", upstream: "postgres" };

describe("a listener document", () => {
  it("has an address, a protocol and where it leads; the rest has defaults", () => {
    expect(parse(tcp)).to.deep.equal({
      address: { host: "0.0.0.0", port: 5432 },
      protocol: "tcp",
      exposes: "documents",
      upstream: "postgres",
      proxyProtocol: [],
      limits: noListenerLimits,
      stream: defaultStreamTerms,
    });
    const udp = parse({ address: "[::1]:53", protocol: "udp", upstream: "dns" });
    expect(udp.address).to.deep.equal({ host: "::1", port: 53 });
    expect(udp.stream).to.deep.equal(defaultDatagramTerms);
    const bounded = parse({
      address: ":53",
      protocol: "udp",
      upstream: "dns",
      max_amplification: 3,
    });
    expect(bounded.stream).to.deep.equal({ ...defaultDatagramTerms, maxAmplification: 3 });
    expect(parse({ ...tcp, address: "[0:0::1]:53" }).address.host, "in one spelling").to.equal(
      "::1",
    );
    expect(parse({ ...tcp, address: "[::ffff:7f00:1]:53" }).address.host).to.equal("127.0.0.1");
    const passthrough = parse({ address: "10.0.0.1:443", protocol: "tls-passthrough" });
    expect(passthrough).to.include({ upstream: null, exposes: "tagged" });
  });

  it("may say all of it", () => {
    const document = parse({
      ...tcp,
      limits: { max_connections: 9, max_connections_per_upstream: 3 },
      idle_timeout: 1.5,
      max_duration: 60,
      send_proxy_protocol: "v2",
      proxy_protocol: ["10.0.0.0/8"],
    });
    expect(document.limits).to.deep.equal({
      maxConnections: 9,
      maxConnectionsPerAddress: 0,
      maxConnectionsPerUpstream: 3,
    });
    expect(document.stream).to.deep.equal({
      idleTimeoutMs: 1_500,
      maxDurationMs: 60_000,
      sendProxyProtocol: "v2",
      maxAmplification: 0,
    });
    expect(document.proxyProtocol).to.deep.equal(["10.0.0.0/8"]);
  });

  const faults: readonly (readonly [document: object, fault: string])[] = [
    [{ ...tcp, address: "db.example:5432" }, "address"],
    [{ ...tcp, address: ":0" }, "address"],
    [{ ...tcp, address: ":65536" }, "address"],
    [{ ...tcp, address: "10.0.0.256:5432" }, "address"],
    [{ ...tcp, address: "5432" }, "address"],
    [{ ...tcp, upstream: "../secret" }, "upstream"],
    [{ address: ":5432", protocol: "tcp" }, "upstream"],
    [{ ...tcp, protocol: "http" }, "protocol"],
    [{ ...tcp, expose: "all" }, "expose"],
    [{ ...tcp, protocol: "udp", proxy_protocol: [] }, "proxy_protocol"],
    [{ ...tcp, proxy_protocol: ["anybody"] }, "proxy_protocol"],
    [{ ...tcp, idle_timeout: 0 }, "idle_timeout"],
    [{ ...tcp, limits: { max: 1 } }, "limits"],
  ];
  for (const [document, fault] of faults)
    it(`is refused by its field: ${JSON.stringify(document)}`, () => {
      expect(() => parse(document))
        .to.throw(key)
        .with.property("problem")
        .that.includes(fault);
    });
});
