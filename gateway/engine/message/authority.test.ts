import { expect } from "chai";
import { isAuthority, isHost, normaliseHost } from "./authority.ts";

const longest = `${"a".repeat(61)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(63)}`;

describe("authorities", () => {
  const good: readonly (readonly [authority: string, host: string])[] = [
    ["a", "a"],
    ["Shop.Example", "shop.example"],
    ["shop.example.", "shop.example"],
    ["shop.example:", "shop.example"],
    ["shop.example.:", "shop.example"],
    ["shop.example:0", "shop.example"],
    ["shop.example:65535", "shop.example"],
    ["shop.example:00080", "shop.example"],
    ["_sip._tcp.example", "_sip._tcp.example"],
    ["a!$&'()*+;=~-.example", "a!$&'()*+;=~-.example"],
    ["10.0.0.1:80", "10.0.0.1"],
    ["[::1]", "[::1]"],
    ["[::1]:8080", "[::1]"],
    ["[::1]:", "[::1]"],
    ["[2001:DB8:0:0::1]", "[2001:db8::1]"],
    ["[::ffff:1.2.3.4]", "[::ffff:102:304]"],
    [longest, longest],
    [`${longest}.`, longest],
    [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`],
  ];
  for (const [authority, host] of good) {
    it(`takes ${authority} for ${host}`, () => {
      expect(longest.length).to.equal(253);
      expect(isAuthority(authority)).to.equal(true);
      expect(normaliseHost(authority)).to.equal(host);
    });
  }

  const bad = [
    "",
    ".",
    "..",
    ".a",
    "..wild.test",
    "a..b",
    "a..",
    "a b",
    "%00.wild.test",
    "%61",
    "a%",
    "a/b",
    "a\\b",
    "a@b",
    "a?b",
    "a#b",
    '"a"',
    "<a>",
    "caf\xe9",
    "a\n",
    ":",
    ":80",
    "a:65536",
    "a:99999",
    "a:000080",
    "a:-1",
    "a:+1",
    "a:8 0",
    "a:80:81",
    "::1",
    "[]",
    "[",
    "[::1",
    "[::1]x",
    "[::1]:x",
    "[::1]:65536",
    "[:::]",
    "[1.2.3.4]",
    "[::1%eth0]",
    "[::1%25eth0]",
    "[v1.a]",
    "[1:2:3:4:5:6:7:8:9]",
    `${longest}a`,
    `${"a".repeat(64)}.example`,
    "a.".repeat(16_000),
  ];
  for (const authority of bad) {
    it(`does not take ${authority.slice(0, 80)}`, () => {
      expect(isAuthority(authority)).to.equal(false);
    });
  }

  it("are hosts when they have no port", () => {
    expect([isHost("a.test"), isHost("[::1]"), isHost("a.test:80"), isHost("[::1]:80")]).to.eql([
      true,
      true,
      false,
      false,
    ]);
  });
});
