import { expect } from "chai";
import { hopAddress, maxHops, type Said, storyOf } from "./forwarding.ts";

/** 10.0.0.0/8 and 2001:db8:1::/48 are trusted. */
const trusts = (address: string) => address.startsWith("10.") || address.startsWith("2001:db8:1:");
const proxy = { scheme: "http" as const, address: "10.0.0.1", trusts };

function story(said: Partial<Said>) {
  const nothing = { forwardedFor: "", forwardedProto: "", forwardedHost: "", forwarded: "" };
  return storyOf({ ...nothing, ...said }, proxy);
}

describe("a hop's address", () => {
  for (const [text, address] of [
    ["192.0.2.1", "192.0.2.1"],
    ["192.0.2.1:5678", "192.0.2.1"],
    ["2001:DB8:0:0::7", "2001:db8::7"],
    ["[2001:db8::7]", "2001:db8::7"],
    ["[2001:db8::7]:1234", "2001:db8::7"],
    ["[2001:db8::7]:_port", "2001:db8::7"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["::1", "::1"],
    ["unknown", null],
    ["_hidden", null],
    ["", null],
    ["localhost", null],
    ["192.0.2.256", null],
    ["192.0.2.01", null],
    ["192.0.2", null],
    ["192.0.2.1:", null],
    ["192.0.2.1:123456", null],
    ["192.0.2.1:8o", null],
    ["[192.0.2.1]", null],
    ["[2001:db8::7", null],
    ["2001:db8::7]", null],
    ["[2001:db8::7]x", null],
    ["fe80::1%eth0", null],
    ["\xa0192.0.2.1", null],
    ['"192.0.2.1"', null],
    [`${":".repeat(5_000)}1`, null],
  ] as const) {
    it(`${JSON.stringify(text.slice(0, 40))} is ${address}`, () => {
      expect(hopAddress(text)).to.equal(address);
    });
  }
});

describe("the client of a trusted proxy", () => {
  for (const [name, list, client] of [
    ["the only address", "192.0.2.9", "192.0.2.9"],
    [
      "the right-most, whatever a client wrote to the left of it",
      "6.6.6.6, 192.0.2.9",
      "192.0.2.9",
    ],
    ["left of trusted proxies", "6.6.6.6, 192.0.2.9, 10.0.0.3 ,10.0.0.2", "192.0.2.9"],
    ["the left-most when all are trusted", "10.0.0.4, 10.0.0.3, 10.0.0.2", "10.0.0.4"],
    ["behind an IPv6 proxy", "192.0.2.9, 2001:db8:1::5", "192.0.2.9"],
    ["an IPv6 address with a port", "[2001:DB8::9]:443, 10.0.0.2", "2001:db8::9"],
    ["the proxy that did not know better", "192.0.2.9, unknown, 10.0.0.2", "10.0.0.2"],
    ["the proxy of the connection, when it hid its client", "192.0.2.9, _hidden", "10.0.0.1"],
    ["the proxy of the connection, after nonsense", "192.0.2.9, \x80\xff", "10.0.0.1"],
    ["not in empty elements", ",192.0.2.9,, ,", "192.0.2.9"],
    ["nowhere in commas alone", ",,,", "10.0.0.1"],
    ["nowhere in nothing", "", "10.0.0.1"],
  ] as const) {
    it(`is ${name}`, () => {
      expect(story({ forwardedFor: list, forwardedProto: "http" }).address).to.equal(client);
    });
  }

  it("is searched for among so many hops only, however long the list is", () => {
    const hops = Array.from({ length: 200 }, (_, hop) => `10.1.0.${hop}`);
    expect(story({ forwardedFor: hops.join() }).address).to.equal(`10.1.0.${200 - maxHops}`);
    expect(story({ forwardedFor: ",".repeat(30_000) }).address).to.equal("10.0.0.1");
  });

  it("asked with the scheme that the nearest proxy says, if it is one", () => {
    for (const [said, scheme] of [
      ["https", "https"],
      ["HTTPS", "https"],
      ["http", "http"],
      ["http, https", "https"],
      ["https, http", "http"],
      ["https,", "http"],
      ["wss", "http"],
      ["https://", "http"],
      ["", "http"],
    ] as const) {
      expect(story({ forwardedFor: "192.0.2.9", forwardedProto: said }).scheme, said).to.equal(
        scheme,
      );
    }
  });

  it("keeps its chain as far as it is sound, from the nearest hop", () => {
    for (const [said, before] of [
      ["6.6.6.6, 192.0.2.9", "6.6.6.6, 192.0.2.9"],
      ["<script>, 192.0.2.9, 10.0.0.2", "192.0.2.9, 10.0.0.2"],
      ["unknown,[::1]:80", "unknown,[::1]:80"],
      ["a(b", ""],
      [`${"6.6.6.6, ".repeat(10)}${"x".repeat(2_000)}, 192.0.2.9`, "192.0.2.9"],
    ] as const) {
      expect(story({ forwardedFor: said }).before, said.slice(0, 40)).to.equal(before);
    }
    expect(story({ forwardedFor: "6.6.6.6,".repeat(5_000) }).before.length).to.be.below(1_025);
  });

  for (const [name, forwarded, expected] of [
    [
      "in Forwarded",
      "for=192.0.2.9;proto=https;host=a.example",
      { address: "192.0.2.9", scheme: "https", host: "a.example", before: "192.0.2.9" },
    ],
    [
      "in Forwarded, in any case and quoted",
      'By=10.0.0.2; For="[2001:DB8::9]:4711" ;PROTO="HTTPS";host="a.example:81"',
      { address: "2001:db8::9", scheme: "https", host: "a.example:81", before: "2001:db8::9" },
    ],
    [
      "right-most in Forwarded, with what was asked of the first trusted proxy",
      "for=6.6.6.6;proto=http, for=192.0.2.9;proto=https;host=b, for=10.0.0.3;proto=http;host=c",
      { address: "192.0.2.9", scheme: "https", host: "b", before: "192.0.2.9, 10.0.0.3" },
    ],
    [
      "not behind a quote that a client left open",
      'for="6.6.6.6, for=192.0.2.9;proto=https',
      { address: "192.0.2.9", scheme: "https", host: "", before: "192.0.2.9" },
    ],
    [
      "hidden: then it is the proxy",
      "for=6.6.6.6, for=_hidden;proto=https, for=10.0.0.3",
      { address: "10.0.0.3", scheme: "https", host: "", before: "10.0.0.3" },
    ],
    [
      "the proxy of the connection when Forwarded is nonsense",
      "for=192.0.2.9;for=10.0.0.2",
      { address: "10.0.0.1", scheme: "http", host: "", before: "" },
    ],
    [
      "the proxy of the connection when its element is too long",
      `for=192.0.2.9;by=${"x".repeat(1_000)}`,
      { address: "10.0.0.1", scheme: "http", host: "", before: "" },
    ],
  ] as const) {
    it(`is ${name}`, () => {
      expect(story({ forwarded })).to.deep.equal(expected);
    });
  }

  it("is never in both: Forwarded is not read beside any of X-Forwarded-For, -Proto and -Host", () => {
    const forwarded = "for=6.6.6.6;proto=https;host=evil.example";
    expect(story({ forwarded, forwardedFor: "192.0.2.9" })).to.deep.include({
      address: "192.0.2.9",
      scheme: "http",
      host: "",
    });
    expect(story({ forwarded, forwardedProto: "http" }).address).to.equal("10.0.0.1");
    expect(story({ forwarded, forwardedHost: "a.example" })).to.deep.include({
      address: "10.0.0.1",
      host: "a.example",
    });
  });
});
