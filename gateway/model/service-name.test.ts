import { expect } from "chai";
import { serviceKey } from "./entries.ts";
import { parseServiceName } from "./service-name.ts";

describe("the name of a service", () => {
  it("is read in each form of Consul's DNS", () => {
    const cases: Record<string, readonly [string, string | null, string | null]> = {
      thumb: ["thumb", null, null],
      "thumb-2": ["thumb-2", null, null],
      "thumb.service.consul": ["thumb", null, null],
      "v2.thumb.service.consul": ["thumb", "v2", null],
      "thumb.service.dc2.consul": ["thumb", null, "dc2"],
      "v2.thumb.service.dc2.consul": ["thumb", "v2", "dc2"],
      "v2.1.thumb.service.consul": ["thumb", "v2.1", null],
      "_thumb._tcp.service.consul": ["thumb", null, null],
      "_thumb._v2.service.dc2.consul": ["thumb", "v2", "dc2"],
      // This is a service named "service", and not a datacenter with that name.
      "thumb.service.service.consul": ["service", "thumb", null],
    };
    for (const [text, [name, tag, datacenter]] of Object.entries(cases))
      expect(parseServiceName(text), text).to.deep.equal({ name, tag, datacenter });
  });

  it("is nothing else", () => {
    for (const text of [
      "",
      "-thumb",
      "thumb-",
      "Thumb",
      "thumb.example.com",
      "thumb.consul",
      "thumb.node.consul",
      "service.consul",
      ".service.consul",
      "a..service.consul",
      "thumb.service.a.b.consul",
      "thumb.service.-dc.consul",
      "thumb.service..consul",
      "th umb",
      "127.0.0.1",
      "_thumb._.service.consul",
    ])
      expect(parseServiceName(text), text).to.equal(null);
  });

  it("has a key that tells datacenters apart and tags not", () => {
    expect(serviceKey({ name: "thumb", datacenter: null })).to.equal("thumb");
    expect(serviceKey({ name: "thumb", datacenter: "dc2" })).to.equal("thumb@dc2");
  });
});
