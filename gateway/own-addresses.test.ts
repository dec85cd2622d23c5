import { hostname } from "node:os";
import { expect } from "chai";
import { type OwnAddress, OwnAddresses, ownPlaces } from "./own-addresses.ts";

const interfaces = () => ["127.0.0.1", "10.0.0.5", "::1", "fe80::1", "2001:db8::5"];
const resolve = async (name: string) => {
  if (name === "consul.internal") return ["10.9.9.9", "2001:db8::9"];
  if (name === "agent.internal") return ["10.0.0.5"];
  throw new Error("no such name");
};

async function open(...own: readonly OwnAddress[]): Promise<OwnAddresses> {
  const addresses = new OwnAddresses(own, { interfaces, resolve });
  await addresses.start();
  addresses.stop();
  return addresses;
}

const admin = (host: string) => ownPlaces({ host, port: 1995 }, "http://192.0.2.1:1");
const consul = (url: string) => ownPlaces({ host: "192.0.2.1", port: 1 }, url);

describe("the gateway's own addresses", () => {
  const cases: readonly {
    readonly own: readonly OwnAddress[];
    readonly port: number;
    readonly are: readonly string[];
    readonly areNot: readonly string[];
  }[] = [
    {
      own: admin("127.0.0.1"),
      port: 1995,
      are: ["127.0.0.1", "::ffff:127.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "::"],
      areNot: ["10.0.0.5", "127.0.0.2", "::1", "other.example", "10.9.9.9"],
    },
    {
      own: admin("0.0.0.0"),
      port: 1995,
      are: ["127.0.0.1", "127.0.0.2", "10.0.0.5", "::1", "2001:db8:0::5", "localhost", hostname()],
      areNot: ["10.0.0.6", "other.example"],
    },
    {
      own: admin("10.0.0.5"),
      port: 1995,
      are: ["10.0.0.5", "::ffff:10.0.0.5"],
      areNot: ["127.0.0.1", "localhost"],
    },
    {
      own: consul("http://127.0.0.1:8500"),
      port: 8500,
      are: ["127.0.0.1", "10.0.0.5", "[::1]", "2001:db8::5", "localhost", hostname()],
      areNot: ["10.9.9.9"],
    },
    {
      own: consul("https://consul.internal"),
      port: 443,
      are: ["10.9.9.9", "2001:DB8:0:0::9", "consul.internal", "Consul.Internal"],
      areNot: ["10.0.0.5", "127.0.0.1", "localhost"],
    },
    {
      own: consul("http://agent.internal:8500"),
      port: 8500,
      are: ["agent.internal", "10.0.0.5", "127.0.0.1", "localhost"],
      areNot: ["10.9.9.9"],
    },
    {
      own: consul("http://nobody.internal:8500"),
      port: 8500,
      are: ["nobody.internal"],
      areNot: ["10.9.9.9", "127.0.0.1"],
    },
  ];
  for (const { own, port, are, areNot } of cases) {
    const shown = own.find((one) => one.port === port);
    it(`with ${shown?.what} at ${shown?.host} include all that lead there, by its port`, async () => {
      const addresses = await open(...own);
      for (const host of are) {
        expect(addresses.find(host, port), host).to.equal(shown?.what);
        expect(addresses.find(host, port + 1), host).to.equal(null);
      }
      for (const host of areNot) expect(addresses.find(host, port), host).to.equal(null);
    });
  }
});
