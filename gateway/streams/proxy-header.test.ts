import { expect } from "chai";
import { ProxyHeaderReader } from "../engine/listening/proxy-protocol.ts";
import { proxyHeader } from "./proxy-header.ts";

describe("the PROXY header for peers", () => {
  const local = { address: "fe80::2%lo", port: 443 };

  it("is one that peers can read, whatever the client's address looks like", () => {
    for (const [address, told] of [
      ["2001:db8::1", "2001:db8::1"],
      ["2001:db8::10.1.2.3", "2001:db8::a01:203"],
      ["fe80::1%lo", "fe80::1"],
    ] as const)
      for (const version of ["v1", "v2"] as const) {
        const header = proxyHeader(version, { client: { address, port: 5_555 }, local });
        expect(new ProxyHeaderReader().take(header), `${version} ${address}`).to.deep.equal({
          source: { address: told, port: 5_555 },
          rest: Buffer.alloc(0),
        });
      }
  });
});
