import { expect } from "chai";
import { type Claim, maxTagLength } from "./claim.ts";
import { isFabioTag, readFabioTag } from "./fabio.ts";

/** The claim of a tag that makes one, and what is said of it. */
function read(tag: string): {
  readonly claim: Claim | undefined;
  readonly notes: readonly string[];
} {
  const { claims, notes } = readFabioTag(tag);
  expect(claims.length).to.be.at.most(1);
  return { claim: claims[0], notes: notes.map(({ text }) => text) };
}

const anyAuthority = { serverName: null, authorities: null, certificate: null };

describe("fabio's tags", () => {
  for (const [tag, host, path] of [
    ["urlprefix-/css", "*", "/css"],
    ["urlprefix-example.com/", "example.com", "/"],
    ["urlprefix-Example.COM/Static", "example.com", "/Static"],
    ["urlprefix-*.example.com/", "*.example.com", "/"],
    ["urlprefix-*/foo", "*", "/foo"],
    ["urlprefix-[2001:db8::1]/foo", "[2001:db8::1]", "/foo"],
  ] as const)
    it(`routes ${tag}`, () => {
      const { claim, notes } = read(tag);
      expect(claim).to.include({ host, path, isExact: false, weight: null });
      expect(notes).to.deep.equal([]);
    });

  it("reads every option that has an effect", () => {
    const { claim, notes } = read(
      "urlprefix-example.com/foo strip=/foo prepend=/bar weight=0.25 allow=ip:10.0.0.0/8,ip:fe80::1 deny=ip:10.1.0.0/16 host=dst proto=http",
    );
    expect(notes).to.deep.equal([]);
    expect(claim?.weight).to.equal(0.25);
    expect(claim?.sentHost).to.equal("peer");
    expect(claim?.plugins).to.deep.equal([
      { name: "ipAllow", options: { addresses: ["10.0.0.0/8", "fe80::1"] } },
      { name: "ipDeny", options: { addresses: ["10.1.0.0/16"] } },
      { name: "path", options: { strip: "/foo", prepend: "/bar" } },
    ]);
    expect(read("urlprefix-/ host=internal.example").claim?.sentHost).to.deep.equal({
      name: "internal.example",
    });
    const redirect = read("urlprefix-old.example/ redirect=301,https://new.example$path").claim;
    expect(redirect?.plugins).to.deep.equal([
      { name: "redirect", options: { to: "https://new.example$path", status: 301 } },
    ]);
  });

  for (const [option, why] of [
    ["tlsskipverify=true", /tlsskipverify= has no effect: proto=http is in clear/],
    ["tlsskipverify=1", /tlsskipverify="1" has no effect/],
    ["register=name", /register= has no effect/],
    ["pxyproto=true", /pxyproto= has no effect/],
    ["weight=2", /weight="2" has no effect/],
    ["weight=-1", /weight="-1" has no effect/],
    ["weight=NaN", /weight="NaN" has no effect/],
    ["colour=blue", /"colour" has no effect/],
    ["constructor=1", /"constructor" has no effect/],
    ["lonely", /"lonely" has no effect/],
  ] as const)
    it(`routes without ${option}, and says so`, () => {
      const { claim, notes } = read(`urlprefix-/foo ${option}`);
      expect(claim).to.include({ host: "*", path: "/foo", weight: null });
      expect(notes).to.have.lengthOf(1);
      expect(notes[0]).to.match(why);
    });

  for (const [tag, why] of [
    ["urlprefix-", /has no \//],
    ["urlprefix-:3306 proto=tcp", /is a port for TCP.*--tcp/],
    ["urlprefix-example.com", /has no \//],
    ["urlprefix-/foo proto=tcp", /proto="tcp" is not routed by tags: .*--tcp/],
    ["urlprefix-foo.example/ proto=tcp+sni", /proto="tcp\+sni" .*tls-passthrough/],
    ["urlprefix-/foo proto=constructor", /proto="constructor" is not routed by tags$/],
    ["urlprefix-/foo auth=basic", /auth="basic"/],
    ["urlprefix-/foo allow=10.0.0.0/8", /allow=.* is not ip:ADDRESS/],
    ["urlprefix-/foo allow=ip:", /allow=.* is not ip:ADDRESS/],
    ["urlprefix-/foo deny=ip:nobody", /deny=.* is not ip:ADDRESS/],
    ["urlprefix-/foo strip=foo", /strip="foo" does not start/],
    ["urlprefix-/foo prepend=/../etc", /prepend=.*segment/],
    ["urlprefix-/foo redirect=404,https://example.com/", /redirect=.* is not one of 301/],
    ["urlprefix-/foo redirect=301,javascript:alert(1)", /redirect=.* is not one of 301/],
    ["urlprefix-/foo redirect=301,https://$path", /redirect=.* is not one of 301/],
    ["urlprefix-/foo host=a,b", /host="a,b" is not a host/],
    ["urlprefix-foo*.example.com/", /is not a host or \*\.domain/],
    ["urlprefix-exa mple.com/", /has no \//],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as fabio's users write it
    ["urlprefix-${DC}.example.com/", /is not a host/],
    ["urlprefix-example.com/a\u0000b", /must be percent-encoded/],
    ["urlprefix-example.com/ä", /must be percent-encoded/],
    ["urlprefix-example.com/a/../b", /segment/],
    ["urlprefix-example.com/%zz", /malformed percent-escape/],
    [`urlprefix-/${"a".repeat(1_100)}`, /longer than 1024/],
    [`urlprefix-${"a".repeat(300)}.com/`, /is not a host/],
  ] as const)
    it(`makes no route of ${JSON.stringify(tag).slice(0, 60)}, and says why`, () => {
      const { claim, notes } = read(tag);
      expect(claim).to.equal(undefined);
      expect(notes.at(-1)).to.match(/^makes no route: /);
      expect(notes.at(-1)).to.match(why);
      expect(notes.join()).to.match(/^[\x20-\x7e]*$/);
    });

  for (const [options, transport] of [
    ["proto=http", null],
    ["proto=grpc", { protocol: "h2c" }],
    ["proto=https", { tls: { ...anyAuthority, isInsecure: false } }],
    ["tlsskipverify=false proto=https", { tls: { ...anyAuthority, isInsecure: false } }],
    ["tlsskipverify=true proto=https", { tls: { ...anyAuthority, isInsecure: true } }],
    ["proto=grpcs", { protocol: "h2", tls: { ...anyAuthority, isInsecure: false } }],
  ] as const)
    it(`says by ${options} how the service is reached`, () => {
      const { claim, notes } = read(`urlprefix-/foo ${options}`);
      expect(claim?.transport).to.deep.equal(transport);
      expect(notes).to.deep.equal([]);
    });

  it("takes a port of a host for no part of it, and says so", () => {
    const { claim, notes } = read("urlprefix-example.com:8080/x");
    expect(claim).to.include({ host: "example.com", path: "/x" });
    expect(notes).to.deep.equal(["its port has no effect: hosts are the same on every port"]);
  });

  it("knows its tags by their beginning", () => {
    expect(["urlprefix-/", "sluice", "URLPREFIX-/", "xurlprefix-/"].map(isFabioTag)).to.deep.equal([
      true,
      false,
      false,
      false,
    ]);
  });

  it("redirects to whole URLs alone, whose host no client can say", () => {
    const target = (to: string) => read(`urlprefix-/ redirect=301,${to}`).claim !== undefined;
    for (const to of [
      "https://a.example",
      "http://a.example:81/x?y=$path",
      "https://a.example$path",
    ])
      expect(target(to), to).to.equal(true);
    for (const to of [
      ...["//a.example", "https:///x", "https://u@a/", "ftp://a/", "https://a/ä", "$path"],
      ...["https://$path", "https://a$path$path", "https://a/#$path"],
    ])
      expect(target(to), to).to.equal(false);
  });

  it("reads the longest tags in a moment", () => {
    for (const filling of ["/", " ", "a=", "%", ":", "*.", "ip:", "allow=ip:1,"]) {
      const tag = `urlprefix-a/b ${filling.repeat(maxTagLength)}`.slice(0, maxTagLength);
      expect(read(tag).notes.length).to.be.at.most(maxTagLength);
    }
  });
});
