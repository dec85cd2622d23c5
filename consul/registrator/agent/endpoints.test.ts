import { networkInterfaces } from "node:os";
import { expect } from "chai";
import { agentEndpoints, agentSelf } from "./endpoints.ts";

const client = (hostname: string, port?: string) => ({
  _opts: { baseUrl: { protocol: "http:", hostname, ...(port === undefined ? {} : { port }) } },
});

describe("the Consul agent's own endpoints", () => {
  it("are all its ports at all its addresses, in every spelling", async () => {
    const self = agentSelf.parse({
      Member: { Addr: "10.0.0.5", Port: 8301 },
      DebugConfig: {
        HTTPPort: 9500,
        HTTPSPort: -1,
        SerfPortLAN: 8301,
        DNSAddrs: ["tcp://10.0.0.6:8600", "udp://[fd00::6]:8600"],
        TaggedAddresses: { lan: "10.0.0.5", lan_ipv6: "fd00::5" },
        ClientAddrs: ["10.0.0.7"],
        RPCAdvertiseAddr: "tcp://10.0.0.5:8300",
        StartJoinAddrsLAN: ["10.0.0.8"],
        ConnectSidecarMinPort: 8080,
      },
    });
    const endpoints = await agentEndpoints(client("192.0.2.1", "80"), self);
    const own = ["10.0.0.5", "10.0.0.6", "fd00::6", "fd00:0:0::5", "10.0.0.7", "192.0.2.1"];
    const loops = [
      "127.0.0.1",
      "127.9.9.9",
      "::1",
      "0:0:0:0:0:0:0:1",
      "0.0.0.0",
      "::ffff:127.0.0.1",
    ];
    for (const address of [...own, ...loops, "::ffff:7f00:1", "::ffff:10.0.0.5"]) {
      for (const port of [9500, 8301, 8300, 8600, 80]) {
        expect(endpoints.has(address, port), `${address} ${port}`).to.equal(true);
      }
      expect(endpoints.has(address, 8080), address).to.equal(false);
    }
    expect(endpoints.has("10.0.0.8", 9500)).to.equal(false);
  });

  it("are at Consul's usual ports when the agent does not say, and at this machine's addresses beside it", async () => {
    const endpoints = await agentEndpoints(client("localhost", "1234"), agentSelf.parse({}));
    const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    for (const address of ["127.0.0.1", ...own.map(({ address }) => address.replace(/%.*/, ""))]) {
      for (const port of [1234, 8500, 8501, 8502, 8600, 8300, 8301, 8302]) {
        expect(endpoints.has(address, port), `${address} ${port}`).to.equal(true);
      }
      expect(endpoints.has(address, 80)).to.equal(false);
    }
  });
});
