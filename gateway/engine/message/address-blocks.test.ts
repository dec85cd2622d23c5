import { expect } from "chai";
import { addressTest, isAddressBlock, networkOf } from "./address-blocks.ts";

describe("address blocks", () => {
  it("are addresses and CIDR blocks of both families, and nothing else", () => {
    for (const text of ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "2001:db8::/32", "::/0"])
      expect(isAddressBlock(text), text).to.equal(true);
    const others = [
      "",
      "10.0.0",
      "10.0.0.0/33",
      "10.0.0.0/",
      "10.0.0.0/8/8",
      "10.0.0.0/ 8",
      "10.0.0.0/1e1",
    ];
    for (const text of [...others, "10.0.0.0/0x8", "::/129", "a.example", "10.0.0.0/-1", "[::1]"])
      expect(isAddressBlock(text), text).to.equal(false);
  });

  it("hold what is in them, IPv4 over IPv6 included", () => {
    const isIn = addressTest(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
    for (const address of ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.7", "2001:db8:1::5"])
      expect(isIn(address), address).to.equal(true);
    for (const address of ["11.0.0.1", "192.0.2.8", "2001:db9::1", "", "nonsense"])
      expect(isIn(address), address).to.equal(false);
    expect(addressTest([])("10.0.0.1")).to.equal(false);
    expect(() => addressTest(["10.0.0.0/8", "10.0.0"])).to.throw(TypeError, "10.0.0:");
  });

  it("stand for whom an address stands: the /64 of an IPv6 client", () => {
    const addresses: Readonly<Record<string, string>> = {
      "192.0.2.1": "192.0.2.1",
      "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
      "2001:0db8:1:2::9": "2001:db8:1:2::/64",
      "2001:db8::1": "2001:db8:0:0::/64",
      "::1": "0:0:0:0::/64",
      "fe80::": "fe80:0:0:0::/64",
    };
    for (const [address, network] of Object.entries(addresses))
      expect(networkOf(address), address).to.equal(network);
  });
});
